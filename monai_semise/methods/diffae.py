# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monai_semise.methods.denoising_net import DenoisingNet

__all__ = ["DiffAeNet"]


class DiffAeNet(DenoisingNet):
    """Diffusion autoencoder (Preechakul et al. 2022, arXiv 2111.15640): encoder and denoiser share one view, and the
    whole latent modulates each block of the denoiser.

    Args:
        backbone: see :class:`monai_semise.methods.denoising_net.DenoisingNet`, like the rest.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        embedding_dim: dimensions D of the latent.
        denoiser_channels: channels of each level of the denoiser, multiples of 8.
        noise_schedule: name of a schedule.
        prediction_type: what the denoiser predicts.
        target_size: pixels along each axis of the view that is denoised.

    Example:
        >>> network = DiffAeNet("resnet10", embedding_dim=16, denoiser_channels=(8, 8))
        >>> image = torch.rand(4, 1, 32, 32)
        >>> network(image).shape, network(image[:, None]).shape  # features; predicted and true noise
        (torch.Size([4, 2, 512]), torch.Size([4, 2, 1024]))
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        in_channels: int = 1,
        embedding_dim: int = 256,
        denoiser_channels: Sequence[int] = (32, 64, 128),
        noise_schedule: str = "linear_beta",
        prediction_type: str = "epsilon",
        target_size: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            backbone,
            spatial_dims,
            in_channels,
            embedding_dim,
            section_dim=embedding_dim,
            denoiser_channels=denoiser_channels,
            noise_schedule=noise_schedule,
            prediction_type=prediction_type,
            target_size=target_size,
        )

    def latents(self, image: Tensor) -> Tensor:
        """See :meth:`monai_semise.methods.denoising_net.DenoisingNet.latents`."""
        latent = self.latent(self.features(image))
        return torch.stack([latent] * self.denoiser.n_sections, dim=1)
