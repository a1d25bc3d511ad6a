# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monai_semise.methods.denoising_net import DenoisingNet
from monai_semise.utils import InputError

__all__ = ["SodaNet"]


class SodaNet(DenoisingNet):
    """Bottleneck diffusion (Hudson et al. 2023, arXiv 2311.17901): what the encoder says of one view helps to denoise
    another, each level of the denoiser by a section of the latent of its own.

    In training, sections are masked, which are zero then: all of an image (as for classifier-free guidance), or each by
    itself (layer masking), so that the denoiser relies on no section alone.

    Args:
        backbone: see :class:`monai_semise.methods.denoising_net.DenoisingNet`, like the rest.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        embedding_dim: dimensions D of the latent, a multiple of the number of sections: levels of the denoiser and 1.
        denoiser_channels: channels of each level of the denoiser, multiples of 8.
        noise_schedule: name of a schedule.
        prediction_type: what the denoiser predicts.
        target_size: pixels along each axis of the view that is denoised.
        latent_dropout: share of the images all of whose sections are masked, in [0, 1).
        section_dropout: share of the sections that are masked in the other images, in [0, 1).

    Raises:
        InputError: when the sections cannot divide the latent.
        ValueError: for a share outside [0, 1).

    Example:
        >>> network = SodaNet("resnet10", embedding_dim=12, denoiser_channels=(8, 8))
        >>> views = torch.rand(4, 2, 1, 32, 32)
        >>> network.latents(views[:, 0]).shape, network(views).shape  # sections; prediction and truth of 1024 pixels
        (torch.Size([4, 3, 4]), torch.Size([4, 2, 1024]))
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        in_channels: int = 1,
        embedding_dim: int = 256,
        denoiser_channels: Sequence[int] = (32, 64, 128),
        noise_schedule: str = "inverted_cosine",
        prediction_type: str = "v_prediction",
        target_size: int | Sequence[int] | None = None,
        latent_dropout: float = 0.1,
        section_dropout: float = 0.1,
    ) -> None:
        n_sections = len(denoiser_channels) + 1
        if embedding_dim % n_sections:
            raise InputError(
                f"embedding_dim: {embedding_dim} cannot be divided into the {n_sections} sections of a denoiser of "
                f"{n_sections - 1} levels; give a multiple of {n_sections}"
            )
        for name, share in {"latent_dropout": latent_dropout, "section_dropout": section_dropout}.items():
            if not 0 <= share < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {share}")
        super().__init__(
            backbone,
            spatial_dims,
            in_channels,
            embedding_dim,
            section_dim=embedding_dim // n_sections,
            denoiser_channels=denoiser_channels,
            noise_schedule=noise_schedule,
            prediction_type=prediction_type,
            target_size=target_size,
        )
        self.latent_dropout = latent_dropout
        self.section_dropout = section_dropout

    def latents(self, image: Tensor) -> Tensor:
        """See :meth:`monai_semise.methods.denoising_net.DenoisingNet.latents`; masked in training."""
        latent = self.latent(self.features(image))
        sections = latent.unflatten(1, (self.denoiser.n_sections, -1))
        if not self.training:
            return sections
        n, n_sections = sections.shape[:2]
        kept = torch.rand(n, 1, 1, device=latent.device) >= self.latent_dropout
        kept = kept & (torch.rand(n, n_sections, 1, device=latent.device) >= self.section_dropout)
        return sections * kept
