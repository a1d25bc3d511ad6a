# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.networks.layers import GaussianFilter
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type
from monai.utils.enums import TransformBackends
from torch import Tensor

from monai_semise.utils import plain_tensor

__all__ = ["LocalContrast", "LocalContrastD", "LocalContrastDict", "LocalContrastd"]

LEAST_WEIGHT = 1e-3
"""Of the foreground around a pixel, below which nothing can be averaged."""


class LocalContrast(Transform):
    """How much each pixel differs from the average around it, which evens out illumination and the color of the skin or
    the retina, and brings out small lesions.

    .. math:: y = \\mathrm{clip}\\left(\\tfrac{1}{2} + g\\,(x - G_\\sigma x), 0, 1\\right)

    with the gain :math:`g` and a Gaussian average :math:`G_\\sigma` over the foreground alone, so that a dark frame
    does not brighten what lies beside it. The frame becomes 1/2. After B. Graham's preprocessing of fundus images
    (Kaggle diabetic retinopathy detection, 2015), which cuts off the rim instead.

    Args:
        radius: :math:`\\sigma` as a share of the image's shortest side.
        gain: how much differences are enlarged.
        frame: a pixel belongs to the dark frame when no channel is above this value.

    Raises:
        ValueError: for a radius or gain that is not positive.

    Example:
        >>> image = torch.full((1, 60, 60), 0.3)
        >>> image[0, 30, 30] = 0.4  # a lesion
        >>> result = LocalContrast()(image)
        >>> round(float(result[0, 0, 0]), 2), round(float(result[0, 30, 30]), 2)
        (0.5, 0.88)
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, radius: float = 1 / 30, gain: float = 4.0, frame: float = 0.06) -> None:
        if not (radius > 0 and gain > 0):
            raise ValueError(f"LocalContrast: radius and gain must be positive, got {radius} and {gain}")
        self.radius = radius
        self.gain = gain
        self.frame = frame

    def __call__(self, img: Tensor) -> Tensor:
        """
        Args:
            img: shape (C, *spatial) with 1 to 3 spatial axes, values in [0, 1].

        Returns:
            tensor of the same shape and kind, float32 values in [0, 1].
        """
        image = plain_tensor(torch.as_tensor(img)).float()
        foreground = (image.amax(0, keepdim=True) > self.frame).float()
        blur = GaussianFilter(image.ndim - 1, self.radius * min(image.shape[1:])).to(image.device)
        average = blur((image * foreground)[None])[0] / blur(foreground[None])[0].clamp(min=LEAST_WEIGHT)
        result = (0.5 + self.gain * (image - average) * foreground).clamp(0, 1)
        return convert_to_dst_type(result, img, dtype=torch.float32)[0]


class LocalContrastd(MapTransform):
    """Dictionary form of :class:`LocalContrast`.

    Args:
        keys: keys of the images.
        radius: see :class:`LocalContrast`.
        gain: see :class:`LocalContrast`.
        frame: see :class:`LocalContrast`.
        allow_missing_keys: whether a missing key is skipped.
    """

    backend = LocalContrast.backend

    def __init__(
        self,
        keys: KeysCollection,
        radius: float = 1 / 30,
        gain: float = 4.0,
        frame: float = 0.06,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.contrast = LocalContrast(radius, gain, frame)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {**data, **{key: self.contrast(data[key]) for key in self.key_iterator(data)}}


LocalContrastD = LocalContrastDict = LocalContrastd
