# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from monai_semise.networks.semise_net import SemiseNet

__all__ = ["LearnedReferenceNet"]


class LearnedReferenceNet(SemiseNet):
    """SEMISE's network for comparisons without grades: the reference is learned, not the mean of healthy images.

    Where no image is known to be healthy, nothing says where severity begins, but comparisons say in which direction it
    grows. The reference is therefore a parameter, moved by the preference loss alone; the score is the cosine distance
    from it, as ever. It has the name of the healthy reference of :class:`SemiseNet`, so that the weights load there,
    and inference, packing and export need not know.

    Args:
        arguments: those of :class:`SemiseNet`.

    Example:
        >>> import torch
        >>> trained = LearnedReferenceNet("resnet10", embedding_dim=32)
        >>> network = SemiseNet("resnet10", embedding_dim=32)
        >>> network.load_state_dict(trained.state_dict())
        <All keys matched successfully>
    """

    learns_reference = True

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        begin = torch.randn_like(self.healthy_reference)
        del self.healthy_reference
        self.healthy_reference = nn.Parameter(begin)
        self.has_reference.fill_(True)

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: batch of shape (N, in_channels, *spatial).

        Returns:
            embeddings of shape (N, H, D) as of :class:`SemiseNet`; in the place of the projection, the reference.
        """
        embeddings = super().forward(image)
        reference = self.healthy_reference.to(embeddings).expand(len(embeddings), 1, -1)
        return torch.cat([reference, embeddings[:, 1:]], dim=1)
