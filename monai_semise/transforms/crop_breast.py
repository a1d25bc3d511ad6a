# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import CropForeground, CropForegroundd
from scipy import ndimage
from torch import Tensor

from monai_semise.utils import plain_tensor

__all__ = ["CropBreast", "CropBreastD", "CropBreastDict", "CropBreastd", "breast_outline"]

BINS = 256


class CropBreast(CropForeground):
    """Crop a mammogram to the box around the breast: the largest connected bright part, see :func:`breast_outline`.

    Bright labels beside the breast ("R CC") do not widen the box. An image of one single value stays whole. Works on
    any image whose background is dark, DICOM or not; put it after
    :class:`~monai_semise.transforms.DicomToPresentation`. The affine follows, and MONAI can invert it.

    Args:
        margin: pixels to leave around the breast, as far as the image reaches.

    Example:
        >>> image = torch.zeros(1, 10, 10)
        >>> image[0, 0:4, 2:8] = 0.5  # the breast
        >>> image[0, 8:, 0:2] = 1  # a label
        >>> tuple(CropBreast()(image).shape)
        (1, 4, 6)
    """

    def __init__(self, margin: int = 0) -> None:
        super().__init__(select_fn=breast_outline, margin=margin, allow_smaller=True)


class CropBreastd(CropForegroundd):
    """Dictionary form of :class:`CropBreast`, which crops images and masks to one box.

    Args:
        keys: keys of what to crop, all of one size.
        source_key: key of the image in which the breast is looked for.
        margin: see :class:`CropBreast`.
        allow_missing_keys: whether a missing key of ``keys`` is skipped.
    """

    def __init__(
        self, keys: KeysCollection, source_key: str, margin: int = 0, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(
            keys,
            source_key,
            select_fn=breast_outline,
            margin=margin,
            allow_smaller=True,
            start_coord_key=None,
            end_coord_key=None,
            allow_missing_keys=allow_missing_keys,
        )


def breast_outline(image: Tensor) -> Tensor:
    """The largest connected part of an image above Otsu's threshold.

    The threshold is found on the square root of the values: on the values themselves it would lie within the breast and
    cut off its skin, which is thin and dark.

    Args:
        image: shape (C, *spatial), background dark; channels are averaged.

    Returns:
        boolean tensor of shape (1, *spatial), true everywhere when the image has one single value.
    """
    values = plain_tensor(image).float().mean(0).cpu().numpy()
    low, high = values.min(), values.max()
    if low == high:
        return torch.ones((1, *values.shape), dtype=torch.bool, device=image.device)
    values = np.sqrt((values - low) / (high - low))
    labels, _ = ndimage.label(values > _otsu(values))
    largest = np.bincount(labels.ravel())[1:].argmax() + 1
    return torch.from_numpy(labels == largest)[None].to(image.device)


def _otsu(values: np.ndarray) -> float:
    """The threshold that parts values in [0, 1] into two classes of the largest variance between them."""
    counts, edges = np.histogram(values, BINS, (0, 1))
    middles = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts)[:-1], np.cumsum(counts[::-1])[::-1][1:]
    sum_below, sum_above = np.cumsum(counts * middles)[:-1], np.cumsum((counts * middles)[::-1])[::-1][1:]
    variance = below * above * (sum_below / below - sum_above / above) ** 2
    return float(edges[1 + variance.argmax()])


CropBreastD = CropBreastDict = CropBreastd
