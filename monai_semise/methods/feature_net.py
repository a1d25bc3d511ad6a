# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor

from monai_semise.networks import SeverityNet
from monai_semise.utils.heads import PREFERENCE

__all__ = ["FeatureNet"]


class FeatureNet(SeverityNet):
    """An encoder without a head: its features are the embedding, in both heads.

    For losses on the features themselves, such as :class:`monai_semise.losses.RankNContrastLoss`. The severity score is
    the Euclidean distance to the mean features of healthy images, the distance in which that loss orders them.

    Args:
        backbone: see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.

    Example:
        >>> network = FeatureNet("resnet10")
        >>> network(torch.rand(2, 1, 64, 64)).shape  # images, heads, features
        torch.Size([2, 2, 512])
    """

    def __init__(self, backbone: str = "resnet50", spatial_dims: int = 2, in_channels: int = 1) -> None:
        super().__init__(backbone, spatial_dims, in_channels, embedding_dim=0)
        self.register_buffer("healthy_reference", torch.zeros(self.n_features))

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: batch of shape (N, in_channels, *spatial).

        Returns:
            the features, twice: shape (N, 2, n_features).
        """
        features = self.features(image)
        return torch.stack([features, features], dim=1)

    def severity(self, embeddings: Tensor) -> Tensor:
        """Severity score: Euclidean distance to the healthy reference.

        Args:
            embeddings: output of ``forward``, shape (N, H, D).

        Returns:
            scores of shape (N,), not negative, float32: higher is more severe.
        """
        return torch.linalg.vector_norm(embeddings[:, PREFERENCE].float() - self.healthy_reference, dim=1)
