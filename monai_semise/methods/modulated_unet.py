# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.blocks import Convolution
from monai.networks.nets.diffusion_model_unet import (
    DiffusionUnetDownsample,
    DiffusionUNetResnetBlock,
    get_timestep_embedding,
)
from monai.utils import unsqueeze_right
from torch import Tensor, nn
from torch.nn import functional as F

from monai_semise.utils import InputError

__all__ = ["ModulatedBlock", "ModulatedUNet"]

GROUPS = 8
TIME_FACTOR = 4  # dimensions of the embedded time, in channels of the first level, as in MONAI's DiffusionModelUNet


class ModulatedBlock(DiffusionUNetResnetBlock):
    r"""MONAI's residual block of diffusion models with adaptive group normalization: noise level and latent scale and
    shift the normalized feature map, where MONAI's adds the noise level before it normalizes.

    .. math::
        \mathrm{AdaGN}(h, t, z) = (1 + z_s) \left((1 + t_s) \, \mathrm{GroupNorm}(h) + t_b\right) + z_b

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        time_channels: dimensions of the embedded noise level.
        latent_channels: dimensions of the latent.

    Example:
        >>> block = ModulatedBlock(2, in_channels=8, out_channels=16, time_channels=32, latent_channels=4)
        >>> block(torch.rand(3, 8, 10, 10), torch.rand(3, 32), torch.rand(3, 4)).shape
        torch.Size([3, 16, 10, 10])
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, out_channels: int, time_channels: int, latent_channels: int
    ) -> None:
        super().__init__(spatial_dims, in_channels, time_channels, out_channels, norm_num_groups=GROUPS)
        self.time_emb_proj = nn.Linear(time_channels, 2 * out_channels)
        self.latent_proj = nn.Linear(latent_channels, 2 * out_channels)

    def forward(self, x: Tensor, emb: Tensor, latent: Tensor) -> Tensor:  # pyrefly: ignore [bad-override]
        """
        Args:
            x: shape (N, in_channels, *spatial).
            emb: embedded noise levels, shape (N, time_channels).
            latent: shape (N, latent_channels).

        Returns:
            tensor of shape (N, out_channels, *spatial).
        """
        h = self.norm2(self.conv1(self.nonlinearity(self.norm1(x))))
        h = _modulate(h, self.time_emb_proj(self.nonlinearity(emb)))
        h = _modulate(h, self.latent_proj(latent))
        return self.skip_connection(x) + self.conv2(self.nonlinearity(h))


class ModulatedUNet(nn.Module):
    """A small UNet that predicts, from a noisy image, its noise level and a latent, what the noise was.

    Made of the parts of MONAI's ``DiffusionModelUNet``, which cannot modulate. A block a level on the way down, one
    below all levels, one a level on the way up; no attention. Images of any size: a feature map is enlarged to the size
    that it had before it was halved.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        channels: channels of each level, multiples of 8.
        latent_channels: dimensions of each section of the latent.

    Attributes:
        n_sections: how many sections the latent has: one for both blocks of a level, and one for the block below all.

    Raises:
        InputError: when the channels are no multiples of 8.

    Example:
        >>> network = ModulatedUNet(spatial_dims=2, in_channels=1, channels=(8, 16), latent_channels=4)
        >>> latents = torch.rand(5, network.n_sections, 4)
        >>> network(torch.randn(5, 1, 21, 30), torch.arange(5), latents).shape
        torch.Size([5, 1, 21, 30])
    """

    def __init__(self, spatial_dims: int, in_channels: int, channels: Sequence[int], latent_channels: int) -> None:
        super().__init__()
        if not channels or any(width <= 0 or width % GROUPS for width in channels):
            raise InputError(f"denoiser_channels: {list(channels)} must be multiples of {GROUPS}, one a level")
        first, last = channels[0], channels[-1]
        time_channels = TIME_FACTOR * first

        def block(n_in: int, n_out: int) -> ModulatedBlock:
            return ModulatedBlock(spatial_dims, n_in, n_out, time_channels, latent_channels)

        def convolution(n_in: int, n_out: int) -> Convolution:
            return Convolution(spatial_dims, n_in, n_out, conv_only=True)

        self.n_sections = len(channels) + 1
        self.n_frequencies = first
        self.time = nn.Sequential(nn.Linear(first, time_channels), nn.SiLU(), nn.Linear(time_channels, time_channels))
        self.conv_in = convolution(in_channels, first)
        self.down = nn.ModuleList(block(n_in, n_out) for n_in, n_out in pairwise([first, *channels]))
        self.halve = nn.ModuleList(DiffusionUnetDownsample(spatial_dims, width, use_conv=True) for width in channels)
        self.middle = block(last, last)
        self.up = nn.ModuleList(block(n_in + n_out, n_out) for n_out, n_in in pairwise([*channels, last]))
        self.out = nn.Sequential(nn.GroupNorm(GROUPS, first), nn.SiLU(), convolution(first, in_channels))

    def forward(self, noisy: Tensor, timesteps: Tensor, latents: Tensor) -> Tensor:
        """
        Args:
            noisy: images with noise, shape (N, C, *spatial).
            timesteps: noise levels, integers of shape (N,).
            latents: shape (N, n_sections, latent_channels).

        Returns:
            tensor of the shape of ``noisy``.
        """
        sections = latents.unbind(dim=1)
        time = self.time(get_timestep_embedding(timesteps, self.n_frequencies))
        h = self.conv_in(noisy)
        skips = []
        for block, halve, latent in zip(self.down, self.halve, sections):
            h = block(h, time, latent)
            skips.append(h)
            h = halve(h)
        h = self.middle(h, time, sections[-1])
        for block, skip, latent in reversed(list(zip(self.up, skips, sections))):
            h = F.interpolate(h, size=skip.shape[2:])
            h = block(torch.cat([h, skip], dim=1), time, latent)
        return self.out(h)


def _modulate(h: Tensor, scale_and_shift: Tensor) -> Tensor:
    """Scale by 1 plus the first half of (N, 2C), shift by the second, channel by channel."""
    scale, shift = unsqueeze_right(scale_and_shift, h.ndim).chunk(2, dim=1)
    return h * (1 + scale) + shift
