# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from monai.networks.schedulers.ddpm import DDPMPredictionType
from monai.utils import ensure_tuple_rep
from torch import Tensor, nn
from torch.nn import functional as F

from monai_semise.methods.feature_net import FeatureNet
from monai_semise.methods.modulated_unet import ModulatedUNet
from monai_semise.methods.noise_scheduler import noise_scheduler
from monai_semise.networks import SeverityNet

__all__ = ["PREDICTION", "TRUTH", "DenoisingNet"]

PREDICTION = 0  # heads of the output for two views
TRUTH = 1


class DenoisingNet(FeatureNet):
    r"""Base of networks that tell the noise in one view, helped by what the encoder says of another: SODA and DiffAE.

    .. math::
        x_t = \sqrt{\bar\alpha_t} x + \sqrt{1 - \bar\alpha_t} \, \epsilon, \quad
        v_t = \sqrt{\bar\alpha_t} \, \epsilon - \sqrt{1 - \bar\alpha_t} x, \quad
        \hat\epsilon \text{ or } \hat v = d(x_t, t, z), \quad z = W f(x') + b

    with a noise level t of its own for each image, drawn from all alike. The views' range of 0 to 1 becomes -1 to 1. A
    subclass adds :meth:`latents`. For one view the features are the embedding, and the severity score is their cosine
    distance to the mean of healthy images.

    Args:
        backbone: see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        embedding_dim: dimensions D of the latent z.
        section_dim: dimensions of each section of it, see :class:`monai_semise.methods.modulated_unet.ModulatedUNet`.
        denoiser_channels: channels of each level of the denoiser, multiples of 8.
        noise_schedule: see :func:`monai_semise.methods.noise_scheduler.noise_scheduler`.
        prediction_type: see :func:`monai_semise.methods.noise_scheduler.noise_scheduler`.
        target_size: pixels along each axis of the view that is denoised, or one number for all; None leaves it as it
            is. The encoder sees its view in full.

    Attributes:
        scheduler: MONAI's, which adds the noise.
    """

    def __init__(
        self,
        backbone: str,
        spatial_dims: int,
        in_channels: int,
        embedding_dim: int,
        section_dim: int,
        denoiser_channels: Sequence[int],
        noise_schedule: str,
        prediction_type: str,
        target_size: int | Sequence[int] | None,
    ) -> None:
        super().__init__(backbone, spatial_dims, in_channels)
        self.spatial_dims = spatial_dims
        self.target_size = None if target_size is None else ensure_tuple_rep(target_size, spatial_dims)
        self.latent = nn.Linear(self.n_features, embedding_dim)
        self.denoiser = ModulatedUNet(spatial_dims, in_channels, denoiser_channels, section_dim)
        self.scheduler = noise_scheduler(noise_schedule, prediction_type)

    severity = SeverityNet.severity  # by angle: the loss gives the length of the features no meaning

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: batch of shape (N, in_channels, *spatial), or its views, shape (N, V, in_channels, *spatial), of
                which the encoder sees the first and the denoiser the last.

        Returns:
            the features, twice, shape (N, 2, n_features); for views, what :meth:`denoise` gives of the last.
        """
        if image.ndim == self.spatial_dims + 2:
            return super().forward(image)
        return self.denoise(image[:, -1], self.latents(image[:, 0]))

    def denoise(self, view: Tensor, latents: Tensor) -> Tensor:
        """Add noise to a view and predict what it was, or the velocity.

        Args:
            view: shape (N, in_channels, *spatial).
            latents: shape (N, n_sections, section_dim).

        Returns:
            prediction and truth of the P values of the view, shape (N, 2, P).
        """
        clean = 2 * view - 1
        if self.target_size is not None:
            clean = F.interpolate(clean, self.target_size, mode="area")
        noise = torch.randn_like(clean)
        timesteps = torch.randint(self.scheduler.num_train_timesteps, (len(clean),), device=clean.device)
        prediction = self.denoiser(self.scheduler.add_noise(clean, noise, timesteps), timesteps, latents)
        truth = noise
        if self.scheduler.prediction_type == DDPMPredictionType.V_PREDICTION:
            truth = self.scheduler.get_velocity(clean, noise, timesteps)
        return torch.stack([prediction.to(truth.dtype), truth], dim=1).flatten(2)

    @abstractmethod
    def latents(self, image: Tensor) -> Tensor:
        """What modulates each section of the denoiser, shape (N, n_sections, section_dim), of the encoder's view."""
