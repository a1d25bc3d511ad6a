# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor, nn

from monai_semise.losses import cosine_distance
from monai_semise.networks.encoders import build_encoder
from monai_semise.utils.heads import PREFERENCE

__all__ = ["SeverityNet"]


class SeverityNet(nn.Module):
    """Base of what pretraining trains: an encoder, and a severity score that is the distance to healthy images.

    A subclass adds heads and ``forward``, which gives embeddings of shape (N, H, D), heads in the order of
    :mod:`monai_semise.utils.heads`: the first is compared with nothing but averaged over healthy images, the second is
    compared with that average.

    Args:
        backbone: encoder, a name in MONAI's ``FLEXUNET_BACKBONE`` (any MONAI ResNet, or one you registered).
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        embedding_dim: dimension D.

    Attributes:
        n_features: channels of the encoder's last feature map.
        encodes_images_apart: whether a training step may give it its batch in parts; not where it has a teacher that
            moves at each call, or tells views apart by their place in the batch.
        learns_reference: whether the reference is a parameter, rather than the mean over healthy images.
        healthy_reference: buffer of shape (D,), mean of the first head over healthy training images; set by
            :meth:`set_healthy_reference`.
    """

    encodes_images_apart = True
    learns_reference = False

    def __init__(self, backbone: str, spatial_dims: int, in_channels: int, embedding_dim: int) -> None:
        super().__init__()
        self.encoder, self.n_features = build_encoder(backbone, spatial_dims, in_channels)
        self.register_buffer("healthy_reference", torch.zeros(embedding_dim))
        self.register_buffer("has_reference", torch.zeros((), dtype=torch.bool))

    def features(self, image: Tensor) -> Tensor:
        """f(x): the last feature map, averaged over space; shape (N, 2048) for ResNet-50."""
        return self.encoder(image)[-1].flatten(2).mean(dim=2)

    def set_healthy_reference(self, reference: Tensor) -> None:
        """Store the mean projection of healthy images, shape (D,)."""
        self.healthy_reference.copy_(reference.detach())
        self.has_reference.fill_(True)

    def severity(self, embeddings: Tensor) -> Tensor:
        """Severity score: cosine distance of the preference embedding to the healthy reference.

        Args:
            embeddings: output of ``forward``, shape (N, H, D).

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
