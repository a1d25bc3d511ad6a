# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.networks.layers import get_act_layer
from torch import Tensor, nn
from torch.nn import functional as F

from monai_semise.networks.severity_net import SeverityNet
from monai_semise.utils import InputError

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
        n_grades: number of grades K, for a linear layer from the projection to K - 1 logits of "worse than grade k,
            given at least k" (:func:`monai_semise.losses.ordinal_corn_loss`); None for no such layer. At most D + 1.

    Raises:
        InputError: when there are fewer than two grades, or more than the dimension has room for.

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
        n_grades: int | None = None,
    ) -> None:
        super().__init__(backbone, spatial_dims, in_channels, embedding_dim)
        if n_grades is not None and not 2 <= n_grades <= embedding_dim + 1:
            raise InputError(
                f"n_grades: must lie in [2, embedding_dim + 1], got {n_grades} with embedding_dim {embedding_dim}; "
                "merge grades, raise embedding_dim, or train without thresholds (ordinal_weight 0)"
            )
        self.projection = nn.Linear(self.n_features, embedding_dim)

        def head() -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(embedding_dim, embedding_dim), get_act_layer(act), nn.Linear(embedding_dim, embedding_dim)
            )

        self.preference = head()
        self.contrast = head() if separate_heads else None
        self.thresholds = nn.Linear(embedding_dim, n_grades - 1) if n_grades is not None else None

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: batch of shape (N, in_channels, *spatial).

        Returns:
            embeddings of shape (N, H, D), heads in the order of :mod:`monai_semise.utils.heads`: projection,
            preference, with ``n_grades`` the thresholds' logits, filled up with zeros, and, with either option, what
            NT-Xent compares: contrast with separate heads, else preference again.
        """
        projection = self.projection(self.features(image))
        preference = self.preference(projection)
        heads = [projection, preference]
        if self.thresholds is not None:
            logits = self.thresholds(projection)
            heads.append(F.pad(logits, (0, projection.shape[1] - logits.shape[1])))
        if self.contrast is not None:
            heads.append(self.contrast(projection))
        elif self.thresholds is not None:
            heads.append(preference)
        return torch.stack(heads, dim=1)
