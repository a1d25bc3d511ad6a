# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.networks.layers import get_act_layer
from torch import Tensor, nn

from monai_semise.networks.severity_net import SeverityNet

__all__ = ["SemiseNet"]


class SemiseNet(SeverityNet):
    """The network of SEMISE: encoder f, projection g and preference head h.

    The healthy reference lies in the projection space g(f(x)), the compared images in h(g(f(x))); h keeps the
    dimension, so that both can be compared (ConPrO; section 3.2 of the paper). NT-Xent uses h(g(f(x))) too, unless it
    gets a head of its own.

    Args:
        backbone: encoder, a name in MONAI's ``FLEXUNET_BACKBONE`` (any MONAI ResNet, or one you registered).
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        embedding_dim: dimension D of projection and preference embedding; the paper's is 256.
        act: activation inside the heads, as MONAI's ``Act`` factory takes it.
        separate_heads: whether NT-Xent gets a head of its own instead of sharing the preference head.

    Example:
        >>> import torch
        >>> network = SemiseNet("resnet10", in_channels=1, embedding_dim=32)
        >>> network(torch.rand(2, 1, 64, 64)).shape  # images, heads, dimensions
        torch.Size([2, 2, 32])
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        in_channels: int = 1,
        embedding_dim: int = 256,
        act: str | tuple = "RELU",
        separate_heads: bool = False,
    ) -> None:
        super().__init__(backbone, spatial_dims, in_channels, embedding_dim)
        self.projection = nn.Linear(self.n_features, embedding_dim)

        def head() -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(embedding_dim, embedding_dim), get_act_layer(act), nn.Linear(embedding_dim, embedding_dim)
            )

        self.preference = head()
        self.contrast = head() if separate_heads else None

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: batch of shape (N, in_channels, *spatial).

        Returns:
            embeddings of shape (N, H, D), heads in the order of :mod:`monai_semise.utils.heads`: projection,
            preference and, with separate heads, contrast.
        """
        projection = self.projection(self.features(image))
        heads = [projection, self.preference(projection)]
        if self.contrast is not None:
            heads.append(self.contrast(projection))
        return torch.stack(heads, dim=1)
