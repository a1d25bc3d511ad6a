# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.networks.layers import get_act_layer
from torch import Tensor, nn

from monai_semise.losses import cosine_distance
from monai_semise.networks.encoders import build_encoder
from monai_semise.utils.heads import PREFERENCE

__all__ = ["SemiseNet"]


class SemiseNet(nn.Module):
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

    Attributes:
        healthy_reference: buffer of shape (D,), mean projection of healthy training images; set by
            :meth:`set_healthy_reference`.

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
        super().__init__()
        self.encoder, features = build_encoder(backbone, spatial_dims, in_channels)
        self.projection = nn.Linear(features, embedding_dim)

        def head() -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(embedding_dim, embedding_dim), get_act_layer(act), nn.Linear(embedding_dim, embedding_dim)
            )

        self.preference = head()
        self.contrast = head() if separate_heads else None
        self.register_buffer("healthy_reference", torch.zeros(embedding_dim))
        self.register_buffer("has_reference", torch.zeros((), dtype=torch.bool))

    def features(self, image: Tensor) -> Tensor:
        """f(x): the last feature map, averaged over space; shape (N, 2048) for ResNet-50."""
        return self.encoder(image)[-1].flatten(2).mean(dim=2)

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

    def set_healthy_reference(self, reference: Tensor) -> None:
        """Store the mean projection of healthy images, shape (D,)."""
        self.healthy_reference.copy_(reference.detach())
        self.has_reference.fill_(True)

    def severity(self, embeddings: Tensor) -> Tensor:
        """Severity score: cosine distance of the preference embedding to the healthy reference.

        Args:
            embeddings: output of :meth:`forward`, shape (N, H, D).

        Returns:
            scores of shape (N,), in [0, 2], float32: higher is more severe.

        Raises:
            RuntimeError: when no healthy reference was stored.
        """
        if not self.has_reference:
            raise RuntimeError("the network has no healthy reference yet: train it, or call set_healthy_reference")
        return cosine_distance(embeddings[:, PREFERENCE], self.healthy_reference)

    def score(self, image: Tensor) -> Tensor:
        """Severity score of a batch of images, shape (N,); see :meth:`severity`."""
        return self.severity(self(image))

    def embedding(self, image: Tensor) -> Tensor:
        """Preference embedding of a batch of images, shape (N, D), in which neighbours look alike."""
        return self(image)[:, PREFERENCE]
