# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor, nn

from monai_semise.networks import SeverityNet

__all__ = ["ProjectionNet", "mlp"]


class ProjectionNet(SeverityNet):
    """An encoder with the projection head of SimCLR: two layers with batch normalization between.

    For methods that know one embedding only; it stands in the place of both heads of
    :class:`monai_semise.networks.SemiseNet`, so that the distance to healthy images is measured in it.

    Args:
        backbone: see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        embedding_dim: dimension D of the projection.

    Example:
        >>> network = ProjectionNet("resnet10", embedding_dim=32)
        >>> network(torch.rand(2, 1, 64, 64)).shape  # images, heads, dimensions
        torch.Size([2, 2, 32])
    """

    def __init__(
        self, backbone: str = "resnet50", spatial_dims: int = 2, in_channels: int = 1, embedding_dim: int = 256
    ) -> None:
        super().__init__(backbone, spatial_dims, in_channels, embedding_dim)
        self.projection = mlp(self.n_features, self.n_features, embedding_dim)

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: batch of shape (N, in_channels, *spatial).

        Returns:
            the projection, twice: shape (N, 2, D).
        """
        projection = self.projection(self.features(image))
        return torch.stack([projection, projection], dim=1)


def mlp(in_features: int, hidden: int, out_features: int) -> nn.Sequential:
    """Two layers, with batch normalization and ReLU between them."""
    return nn.Sequential(
        nn.Linear(in_features, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, out_features),
    )
