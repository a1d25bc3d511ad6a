# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTrait, Transform
from monai.utils.enums import TransformBackends
from torch import Tensor
from torch.nn import functional as F

from monai_semise.utils import plain_tensor

__all__ = ["RandBatchAugment", "RandBatchAugmentD", "RandBatchAugmentDict", "RandBatchAugmentd"]


class RandBatchAugment(Transform, RandomizableTrait):
    """Augment a whole batch at once, on its device, with parameters of its own for each image.

    One resampling does rotation, zoom, shift and flips; brightness, contrast, gamma and noise follow. Defaults are
    mild, because a severity must survive them: lesions keep their number and nearly their size. The draws come from
    torch's generator of the batch's device, so ``torch.manual_seed`` repeats them. With
    :meth:`with_masks`, masks move along.

    Args:
        rotation: largest rotation in degrees (each plane in 3D).
        zoom: smallest and largest magnification.
        shift: largest shift along each axis, as a share of the image.
        flip_axes: spatial axes to flip with probability 1/2. Leave out an axis whose sides differ in meaning
            (laterality).
        brightness: largest value added or subtracted, image range 0 to 1.
        contrast: smallest and largest factor about the image's mean.
        gamma: smallest and largest exponent, drawn on a log scale.
        noise: largest standard deviation of Gaussian noise.

    Example:
        >>> import torch
        >>> images = torch.rand(4, 1, 32, 32)
        >>> RandBatchAugment()(images).shape
        torch.Size([4, 1, 32, 32])
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        rotation: float = 15.0,
        zoom: Sequence[float] = (0.9, 1.1),
        shift: float = 0.05,
        flip_axes: Sequence[int] = (0, 1),
        brightness: float = 0.1,
        contrast: Sequence[float] = (0.8, 1.25),
        gamma: Sequence[float] = (0.8, 1.25),
        noise: float = 0.03,
    ) -> None:
        for name, (low, high) in {"zoom": zoom, "contrast": contrast, "gamma": gamma}.items():
            if not 0 < low <= high:
                raise ValueError(f"{name} must be a range (low, high) with 0 < low <= high, got {(low, high)}")
        self.rotation = rotation
        self.zoom = tuple(zoom)
        self.shift = shift
        self.flip_axes = tuple(flip_axes)
        self.brightness = brightness
        self.contrast = tuple(contrast)
        self.gamma = tuple(gamma)
        self.noise = noise

    def __call__(self, images: Tensor) -> Tensor:
        """
        Args:
            images: batch of shape (B, C, *spatial) with 2 or 3 spatial axes, values in [0, 1].

        Returns:
            tensor of the same shape and type, values in [0, 1].
        """
        images = plain_tensor(images)
        return self._augment(images, self._grid(images))

    def with_masks(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Augment images and move their masks along with them.

        Args:
            images: batch of shape (B, C, *spatial), values in [0, 1].
            masks: shape (B, S, *spatial), on the same device; keeps the values that it has (nearest neighbour).

        Returns:
            images and masks of the same shapes and types.
        """
        images, masks = plain_tensor(images), plain_tensor(masks)
        grid = self._grid(images)
        moved = F.grid_sample(masks.float(), grid, mode="nearest", padding_mode="reflection", align_corners=False)
        return self._augment(images, grid), moved.to(masks.dtype)

    def _augment(self, images: Tensor, grid: Tensor) -> Tensor:
        result = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        batch = [len(images), *[1] * (images.ndim - 1)]

        def draw(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(batch, device=images.device)

        mean = result.flatten(1).mean(1).view(batch)
        result = (result - mean) * draw(*self.contrast) + mean + draw(-self.brightness, self.brightness)
        log_gamma = draw(*(math.log(value) for value in self.gamma))
        result = result.clamp(0, 1) ** log_gamma.exp()
        result = result + draw(0, self.noise) * torch.randn_like(result)
        return result.clamp(0, 1).to(images.dtype)

    def _grid(self, images: Tensor) -> Tensor:
        """Where each pixel comes from, as :func:`torch.nn.functional.grid_sample` takes it."""
        n, dims, device = len(images), images.ndim - 2, images.device

        def draw(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(n, *shape, device=device)

        matrix = torch.eye(dims, device=device).expand(n, dims, dims)
        angle = math.radians(self.rotation)
        for plane in ((0, 1),) if dims == 2 else ((0, 1), (0, 2), (1, 2)):
            matrix = matrix @ _rotation(draw(-angle, angle), plane, dims)
        scale = 1 / draw(self.zoom[0], self.zoom[1], 1).expand(n, dims)
        flips = torch.ones(n, dims, device=device)
        for axis in self.flip_axes:
            if not 0 <= axis < dims:
                raise ValueError(f"flip_axes names axis {axis}, but the images have the spatial axes 0 to {dims - 1}")
            # affine_grid counts the axes from the last
            flips[:, dims - 1 - axis] = torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
        shift = 2 * draw(-self.shift, self.shift, dims)
        # the grid's axes run from -1 to 1 whatever their length: without this, a rotation would shear
        extent = torch.tensor(images.shape[:1:-1], dtype=torch.float32, device=device)
        matrix = matrix * extent / extent[:, None] * (scale * flips)[:, None, :]
        theta = torch.cat([matrix, shift[..., None]], dim=2)
        return F.affine_grid(theta, list(images.shape), align_corners=False)


class RandBatchAugmentd(MapTransform, RandomizableTrait):
    """Dictionary form of :class:`RandBatchAugment`, on dictionaries of batches; each key gets draws of its own.

    Args:
        keys: keys of the batches of images.
        allow_missing_keys: whether a missing key is skipped.
        kwargs: arguments of :class:`RandBatchAugment`.
    """

    backend = RandBatchAugment.backend

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False, **kwargs: Any) -> None:
        super().__init__(keys, allow_missing_keys)
        self.augment = RandBatchAugment(**kwargs)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {**data, **{key: self.augment(data[key]) for key in self.key_iterator(data)}}


def _rotation(angle: Tensor, plane: tuple[int, int], dims: int) -> Tensor:
    """Rotation matrices of shape (B, dims, dims) by angles of shape (B,), in radians."""
    i, j = plane
    matrix = torch.eye(dims, device=angle.device).repeat(len(angle), 1, 1)
    matrix[:, i, i] = matrix[:, j, j] = angle.cos()
    matrix[:, i, j], matrix[:, j, i] = -angle.sin(), angle.sin()
    return matrix


RandBatchAugmentD = RandBatchAugmentDict = RandBatchAugmentd
