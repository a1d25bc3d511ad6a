# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["gaussian_blur"]

TRUNCATED = 4.0  # standard deviations, as in MONAI


def gaussian_blur(images: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Blur each image with a standard deviation of its own, along one axis after the other.

    Weights are the Gaussian's integrals over the pixels, as MONAI's ``GaussianSmooth`` has them; they sum to 1, and
    beyond its edge the image goes on with the edge's value, where MONAI's goes on with 0.

    Args:
        images: batch of shape (B, C, *spatial), float32.
        sigma: standard deviations in pixels, shape (B,); 0 leaves an image as it is.
        largest: what ``sigma`` never exceeds, for a kernel whose size does not depend on the draws.

    Returns:
        tensor of the same shape and type.

    Example:
        >>> point = torch.tensor([[[[0.0, 0.0, 1.0, 0.0, 0.0]]]])
        >>> gaussian_blur(point, torch.tensor([0.5]), 0.5)
        tensor([[[[0.0013, 0.1573, 0.6827, 0.1573, 0.0013]]]])
    """
    n, channels, *spatial = images.shape
    dims, radius = len(spatial), math.ceil(TRUNCATED * largest)
    edges = torch.arange(-radius, radius + 2, device=images.device) - 0.5
    weights = torch.erf(edges * math.sqrt(0.5) / sigma[:, None]).diff()
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    convolve = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    result = images.reshape(1, n * channels, *spatial)
    for axis in range(dims):
        padding, size = [0] * (2 * dims), [1] * dims
        padding[2 * axis] = padding[2 * axis + 1] = radius
        size[-1 - axis] = weights.shape[1]
        padded = F.pad(result, padding, mode="replicate")
        result = convolve(padded, weights.view(-1, 1, *size), groups=len(weights))
    return result.view_as(images)
