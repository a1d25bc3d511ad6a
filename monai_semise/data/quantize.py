# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""How prepared images are kept: brightness in [0, 1] as whole numbers, or floats as they are; so are whole numbers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from monai_semise.utils import InputError

__all__ = ["DTYPES", "dequantize", "quantize"]

DTYPES = ("uint8", "uint16", "float16", "float32")


def quantize(tensor: Tensor, dtype: str, name: str) -> np.ndarray:
    """What is kept of a tensor.

    Args:
        tensor: any shape. Values of a floating point one must be finite and, for an unsigned ``dtype``, in [0, 1].
        dtype: one of :data:`DTYPES`; tensors of whole numbers or truth values are kept as they are instead.
        name: what to call the tensor in an error.

    Returns:
        an array of the same shape.

    Raises:
        InputError: when the values do not fit.

    Example:
        >>> quantize(torch.tensor([0.0, 0.5, 1.0]), "uint8", name="image")
        array([  0, 128, 255], dtype=uint8)
    """
    if not tensor.is_floating_point():
        return tensor.cpu().numpy()
    values = tensor.cpu().float().numpy()
    levels = _levels(dtype)
    lowest, highest = (0.0, 1.0) if levels else (float(np.finfo(dtype).min), float(np.finfo(dtype).max))
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{name} holds values that are not finite; repair the file, or remove the item")
    margin = 0.5 / levels if levels else 0.0  # what rounds into the range
    if low < lowest - margin or high > highest + margin:
        raise InputError(
            f"{name} holds values from {low:g} to {high:g} where {dtype} keeps {lowest:g} to {highest:g}; "
            "scale them in the preprocessing (ScaleIntensityd), or keep them as float32"
        )
    return np.rint(values * np.float32(levels)).astype(dtype) if levels else values.astype(dtype)


def dequantize(array: np.ndarray, floating: bool) -> Tensor:
    """The tensor that :func:`quantize` was given, to half a step.

    Args:
        array: what it returned.
        floating: whether the tensor was of floating point type.

    Returns:
        a new tensor: float32, or the array's type when not ``floating``.
    """
    if not floating:
        return torch.from_numpy(array.copy())
    levels = _levels(array.dtype)
    values = np.divide(array, np.float32(levels), dtype=np.float32) if levels else array.astype(np.float32)
    return torch.from_numpy(values)


def _levels(dtype: str | np.dtype) -> int:
    """Steps from 0 to 1; 0 for floating point types."""
    return 0 if np.dtype(dtype).kind == "f" else int(np.iinfo(dtype).max)
