# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from monai_semise.utils import InputError

__all__ = ["choose_patch_size", "draw_masked", "patch_grid", "split_patches", "spread_to_pixels"]

SMALLEST = 4
"""Pixels along a patch: fewer are told by their neighbours."""
LARGEST = 32
"""Pixels along a patch: one cell of the encoder's last feature map."""
FEWEST = 4
"""Patches along the shortest axis."""


def choose_patch_size(image_size: Sequence[int]) -> int:
    """The largest patch, of 4 to 32 pixels along each axis, that tiles an image with 4 patches or more along each.

    Args:
        image_size: pixels along each axis.

    Raises:
        InputError: when there is none.

    Example:
        >>> choose_patch_size([224, 224]), choose_patch_size([64, 64]), choose_patch_size([450, 200])
        (32, 16, 25)
    """
    common = math.gcd(*image_size)
    largest = min(LARGEST, min(image_size) // FEWEST)
    sizes = [size for size in range(SMALLEST, largest + 1) if common % size == 0]
    if not sizes:
        raise InputError(
            f"image_size: no patch of {SMALLEST} to {LARGEST} pixels tiles {list(image_size)} with {FEWEST} patches or "
            "more along each axis; give a multiple of 32, such as --image_size 224, or name a --patch_size"
        )
    return sizes[-1]


def patch_grid(image_size: Sequence[int], patch_size: int) -> tuple[int, ...]:
    """Number of patches along each axis.

    Raises:
        InputError: when the patches do not tile the image.

    Example:
        >>> patch_grid([64, 96], 16)
        (4, 6)
    """
    if patch_size < 1 or any(length % patch_size for length in image_size):
        raise InputError(
            f"patch_size: patches of {patch_size} pixels do not tile an image of {list(image_size)}; give an "
            "image_size that is a multiple of it, or another patch_size"
        )
    return tuple(length // patch_size for length in image_size)


def draw_masked(n_images: int, grid: Sequence[int], n_masked: int, device: torch.device) -> Tensor:
    """Choose patches to hide, equally many of each image, by torch's generator of the device.

    Returns:
        tensor of shape (n_images, *grid), bool.

    Example:
        >>> draw_masked(3, (4, 4), 10, torch.device("cpu")).sum(dim=(1, 2))
        tensor([10, 10, 10])
    """
    order = torch.rand(n_images, math.prod(grid), device=device).argsort(dim=1)
    return (order < n_masked).unflatten(1, tuple(grid))


def spread_to_pixels(patches: Tensor, patch_size: int) -> Tensor:
    """Give each pixel the value of its patch.

    Args:
        patches: shape (N, *grid).
        patch_size: pixels along a patch.

    Returns:
        tensor of shape (N, 1, *spatial).
    """
    for axis in range(1, patches.ndim):
        patches = patches.repeat_interleave(patch_size, dim=axis)
    return patches[:, None]


def split_patches(image: Tensor, patch_size: int) -> Tensor:
    """Cut images into patches.

    Args:
        image: shape (N, C, *spatial).
        patch_size: pixels along a patch, which divides every axis.

    Returns:
        tensor of shape (N, P, C * patch_size ** d) for d spatial axes, patches in the order of the grid.

    Example:
        >>> split_patches(torch.arange(16).reshape(1, 1, 4, 4), 2)[0, 1].tolist()
        [2, 3, 6, 7]
    """
    dims = image.ndim - 2
    for axis in range(2, 2 + 2 * dims, 2):
        image = image.unflatten(axis, (-1, patch_size))
    grid, inside = range(2, 2 + 2 * dims, 2), range(3, 3 + 2 * dims, 2)
    return image.permute(0, *grid, 1, *inside).flatten(dims + 1).flatten(1, dims)
