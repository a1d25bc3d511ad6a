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

from monai_semise.transforms.gaussian_blur import gaussian_blur
from monai_semise.transforms.random_affine import random_affine, random_crop, sampling_grid, uniform
from monai_semise.utils import plain_tensor

__all__ = ["RandBatchAugment", "RandBatchAugmentD", "RandBatchAugmentDict", "RandBatchAugmentd", "augment_config"]

# at a time, so that what they need stays in the processor's cache; with a multiple of 16, the number of values that
# torch draws at once, the noise is what the whole batch would get
CPU_IMAGES = 16


class RandBatchAugment(Transform, RandomizableTrait):
    """Augment a whole batch at once, on its device, with parameters of its own for each image.

    One resampling does crop, rotation, zoom, shift and flips; blur, contrast and brightness, gamma and noise follow, in
    this order. Defaults are mild, because a severity must survive them: lesions keep their number and nearly their
    size, so there is neither crop nor blur unless asked for, and hue never changes. The draws come from torch's
    generator of the batch's device, so ``torch.manual_seed`` repeats them. No shape depends on them, so that
    ``torch.compile`` takes it whole. With :meth:`with_masks`, masks move along.

    With the same parameters, each operation gives what MONAI's gives (``RandRotate``, ``RandZoom``, ``RandAffine``,
    ``RandFlip``, ``RandGaussianSmooth``, ``RandScaleIntensityFixedMean``, ``RandShiftIntensity``,
    ``RandAdjustContrast``, ``RandGaussianNoise``), and parameters are uniform as there. What differs:

    - beyond its edge, an image goes on by reflection, for the blur by the edge's value (in MONAI zeros, or as set)
    - one blur for all axes (a draw for each); a shift as a share of the image (pixels)
    - exponents are uniform on a log scale (uniform), of values from 0 to 1 (from the image's smallest to its largest)
    - values are clipped to 0 to 1 before gamma and at the end (never)
    - only flips have a probability, 1/2; all else happens always

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
        crop: smallest and largest share of the area or volume that is cut out, anywhere, and resized to the whole.
        aspect: of what ``crop`` cuts out, smallest and largest ratio of width to height, where the image's is 1; drawn
            on a log scale. In 3D, that of height to depth is drawn as well. Sides longer than the image's are cut.
        blur: smallest and largest standard deviation in pixels of a Gaussian blur.

    Example:
        >>> import torch
        >>> images = torch.rand(4, 1, 32, 32)
        >>> RandBatchAugment()(images).shape
        torch.Size([4, 1, 32, 32])

        As for SimCLR on photographs, far from mild:

        >>> RandBatchAugment(crop=(0.08, 1.0), blur=(0.1, 2.0))(images).shape
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
        crop: Sequence[float] = (1.0, 1.0),
        aspect: Sequence[float] = (3 / 4, 4 / 3),
        blur: Sequence[float] = (0.0, 0.0),
    ) -> None:
        ranges = {"zoom": zoom, "contrast": contrast, "gamma": gamma, "crop": crop, "aspect": aspect}
        for name, (low, high) in ranges.items():
            if not 0 < low <= high:
                raise ValueError(f"{name} must be a range (low, high) with 0 < low <= high, got {(low, high)}")
        if crop[1] > 1:
            raise ValueError(f"crop must be shares of the image, at most 1, got {tuple(crop)}")
        if not 0 <= blur[0] <= blur[1]:
            raise ValueError(f"blur must be a range (low, high) with 0 <= low <= high, got {tuple(blur)}")
        self.rotation = rotation
        self.zoom = tuple(zoom)
        self.shift = shift
        self.flip_axes = tuple(flip_axes)
        self.brightness = brightness
        self.contrast = tuple(contrast)
        self.gamma = tuple(gamma)
        self.noise = noise
        self.crop = tuple(crop)
        self.aspect = tuple(aspect)
        self.blur = tuple(blur)

    def __call__(self, images: Tensor) -> Tensor:
        """
        Args:
            images: batch of shape (B, C, *spatial) with 2 or 3 spatial axes, values in [0, 1].

        Returns:
            tensor of the same shape and type, values in [0, 1].
        """
        images = plain_tensor(images)
        return self._augment(images, self._theta(images))

    def with_masks(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Augment images and move their masks along with them.

        Args:
            images: batch of shape (B, C, *spatial), values in [0, 1].
            masks: shape (B, S, *spatial), on the same device; keeps the values that it has (nearest neighbour).

        Returns:
            images and masks of the same shapes and types.
        """
        images, masks = plain_tensor(images), plain_tensor(masks)
        theta = self._theta(images)
        grid = sampling_grid(theta, masks.shape[2:])
        moved = F.grid_sample(masks.float(), grid, mode="nearest", padding_mode="reflection", align_corners=False)
        return self._augment(images, theta), moved.to(masks.dtype)

    def _theta(self, images: Tensor) -> Tensor:
        theta = random_affine(images, self.rotation, self.zoom, self.shift, self.flip_axes)
        return theta if self.crop == (1, 1) else random_crop(theta, self.crop, self.aspect)

    def _augment(self, images: Tensor, theta: Tensor) -> Tensor:
        def draw(low: float, high: float) -> Tensor:
            return uniform((low, high), len(images), *[1] * (images.ndim - 1), device=images.device)

        draws = [theta] if self.blur == (0, 0) else [theta, draw(*self.blur)]
        draws += [draw(*self.contrast), draw(-self.brightness, self.brightness)]
        draws += [draw(*(math.log(value) for value in self.gamma)).exp(), draw(0, self.noise)]
        if images.device.type != "cpu" or torch.compiler.is_compiling():
            return self._apply(images, *draws)
        parts = zip(*(values.split(CPU_IMAGES) for values in (images, *draws)))
        return torch.cat([self._apply(*part) for part in parts])

    def _apply(self, images: Tensor, theta: Tensor, *draws: Tensor) -> Tensor:
        grid = sampling_grid(theta, images.shape[2:])
        result = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        *sigma, contrast, brightness, exponent, deviation = draws
        if sigma:
            result = gaussian_blur(result, sigma[0].flatten(), self.blur[1])
        mean = result.flatten(1).mean(1).view_as(contrast)
        result.sub_(mean).mul_(contrast).add_(mean + brightness).clamp_(0, 1).pow_(exponent)
        return torch.randn_like(result).mul_(deviation).add_(result).clamp_(0, 1).to(images.dtype)


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


RandBatchAugmentD = RandBatchAugmentDict = RandBatchAugmentd


def augment_config(augment: Any) -> dict[str, Any] | None:
    """The config of a :class:`RandBatchAugment`, all its arguments named, for the record of a run; None for others.

    Example:
        >>> augment_config(RandBatchAugment(flip_axes=(0,)))["flip_axes"]
        [0]
    """
    if type(augment) is not RandBatchAugment:
        return None
    arguments = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(augment).items()}
    return {"_target_": "monai_semise.transforms.RandBatchAugment", **arguments}
