# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["random_affine", "random_crop", "sampling_grid", "uniform"]


def uniform(bounds: Sequence[float], *shape: int, device: torch.device) -> Tensor:
    """Uniform draws from a range (low, high).

    Example:
        >>> uniform((2.0, 2.0), 3, device=torch.device("cpu"))
        tensor([2., 2., 2.])
    """
    low, high = bounds
    return low + (high - low) * torch.rand(*shape, device=device)


def random_affine(
    images: Tensor, rotation: float, zoom: Sequence[float], shift: float, flip_axes: Sequence[int]
) -> Tensor:
    """Draw for each image where its pixels come from, as :func:`torch.nn.functional.affine_grid` takes it.

    Args:
        images: batch of shape (B, C, *spatial), of which shape and device count.
        rotation: largest rotation in degrees, uniform on both sides of zero, in each plane.
        zoom: smallest and largest magnification, uniform.
        shift: largest shift along each axis, as a share of the image, uniform on both sides of zero.
        flip_axes: spatial axes to flip with probability 1/2.

    Returns:
        matrices of shape (B, axes, axes + 1), axes counted from the last, coordinates from -1 to 1.

    Example:
        >>> random_affine(torch.rand(1, 1, 8, 8), 0.0, (2.0, 2.0), 0.0, ()).tolist()
        [[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]]
    """
    n, dims, device = len(images), images.ndim - 2, images.device
    matrix = torch.eye(dims, device=device).expand(n, dims, dims)
    angle = math.radians(rotation)
    for plane in ((0, 1),) if dims == 2 else ((0, 1), (0, 2), (1, 2)):
        matrix = matrix @ _rotation(uniform((-angle, angle), n, device=device), plane, dims)
    scale = 1 / uniform(zoom, n, 1, device=device).expand(n, dims)
    flips = torch.ones(n, dims, device=device)
    for axis in flip_axes:
        if not 0 <= axis < dims:
            raise ValueError(f"flip_axes names axis {axis}, but the images have the spatial axes 0 to {dims - 1}")
        # affine_grid counts the axes from the last
        flips[:, dims - 1 - axis] = torch.where(uniform((0, 1), n, device=device) < 0.5, -1.0, 1.0)
    offset = 2 * uniform((-shift, shift), n, dims, device=device)
    # the grid's axes run from -1 to 1 whatever their length: without this, a rotation would shear
    extent = torch.tensor(images.shape[:1:-1], dtype=torch.float32, device=device)
    matrix = matrix * extent / extent[:, None] * (scale * flips)[:, None, :]
    return torch.cat([matrix, offset[..., None]], dim=2)


def random_crop(theta: Tensor, crop: Sequence[float], aspect: Sequence[float]) -> Tensor:
    """Let what :func:`random_affine` drew happen within a random part of each image, resized to the whole.

    Args:
        theta: matrices of shape (B, axes, axes + 1).
        crop: smallest and largest share of the image's area or volume, uniform.
        aspect: smallest and largest ratio of the share of the first axis (width) to that of the second (height),
            uniform on a log scale. In 3D, a second ratio is that of the second to the third. A share above 1 becomes 1.

    Returns:
        matrices of the same shape.

    Example:
        >>> whole = torch.eye(2, 3)[None]
        >>> quarter = random_crop(whole, (0.25, 0.25), (1.0, 1.0))
        >>> quarter[:, :, :2].tolist()
        [[[0.5, 0.0], [0.0, 0.5]]]
        >>> bool((quarter[:, :, 2].abs() <= 0.5).all())
        True
    """
    n, dims, device = len(theta), theta.shape[1], theta.device
    share = uniform(crop, n, 1, device=device) ** (1 / dims)
    ratios = uniform([math.log(value) for value in aspect], n, dims - 1, device=device)
    stretch = torch.cat([torch.zeros(n, 1, device=device), ratios.cumsum(1)], dim=1)
    sides = (share * (stretch - stretch.mean(1, keepdim=True)).exp()).clamp(max=1)
    centre = (1 - sides) * uniform((-1, 1), n, dims, device=device)
    theta = theta * sides[..., None]
    return torch.cat([theta[..., :-1], theta[..., -1:] + centre[..., None]], dim=2)


def sampling_grid(theta: Tensor, shape: Sequence[int]) -> Tensor:
    """What :func:`torch.nn.functional.affine_grid` gives, without its matrix product, which is slow on the CPU.

    Args:
        theta: matrices of shape (B, axes, axes + 1).
        shape: spatial shape of the images.

    Returns:
        grid of shape (B, *spatial, axes) for :func:`torch.nn.functional.grid_sample`, with ``align_corners=False``.

    Example:
        >>> sampling_grid(torch.eye(2, 3)[None], (1, 4)).tolist()
        [[[[-0.75, 0.0], [-0.25, 0.0], [0.25, 0.0], [0.75, 0.0]]]]
    """
    n, dims, _ = theta.shape
    grid = theta[..., -1].view(n, dims, *[1] * dims)
    for axis, length in enumerate(reversed(shape)):
        centres = torch.arange(1 - length, length, 2, device=theta.device) / length
        grid = grid + (theta[..., axis, None] * centres).view(n, dims, *[1] * (dims - 1 - axis), length, *[1] * axis)
    return grid.movedim(1, -1)


def _rotation(angle: Tensor, plane: tuple[int, int], dims: int) -> Tensor:
    """Rotation matrices of shape (B, dims, dims) by angles of shape (B,), in radians."""
    i, j = plane
    matrix = torch.eye(dims, device=angle.device).repeat(len(angle), 1, 1)
    matrix[:, i, i] = matrix[:, j, j] = angle.cos()
    matrix[:, i, j], matrix[:, j, i] = -angle.sin(), angle.sin()
    return matrix
