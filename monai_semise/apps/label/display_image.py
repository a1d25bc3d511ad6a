# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from nibabel.orientations import io_orientation

from monai_semise.data import DicomInfo
from monai_semise.transforms import DicomToPresentation, LoadCheckedImage
from monai_semise.utils import InputError, plain_tensor

__all__ = ["DisplayImage", "load_display_image"]


@dataclass(frozen=True)
class DisplayImage:
    """An image as a page draws it: all gray values it has, and the window to begin with.

    Example:
        >>> image = DisplayImage(np.zeros((1, 4, 6, 1), np.uint16), 0.0, 100.0, 50.0, 100.0)
        >>> image.description()["width"], len(image.slice_bytes(0))
        (6, 48)
    """

    values: np.ndarray = field(repr=False)
    """Shape (slices, height, width, channels): uint16 of one channel, or uint8 of three. 0 stands for :attr:`low`, the
    highest number for :attr:`high`."""
    low: float
    """In the units of the image."""
    high: float
    window_center: float
    window_width: float
    inverted: bool = False
    """Whether high values are dark."""
    aspect: float = 1.0
    """Height of a pixel over its width."""

    def description(self) -> dict[str, Any]:
        """Everything but the values, for JSON."""
        slices, height, width, channels = self.values.shape
        numbers = {key: value for key, value in asdict(self).items() if key != "values"}
        return {"slices": slices, "height": height, "width": width, "channels": channels, **numbers}

    def slice_bytes(self, number: int) -> bytes:
        """The values of a slice, row by row, in little-endian order.

        Raises:
            InputError: when there is no such slice.
        """
        if not 0 <= number < len(self.values):
            raise InputError(f"slice: {number} is not between 0 and {len(self.values) - 1}")
        return self.values[number].astype(self.values.dtype.newbyteorder("<"), copy=False).tobytes()


def load_display_image(path: str | os.PathLike) -> DisplayImage:
    """Read an image or a volume for a page.

    A gray DICOM image comes in modality units with the window of its header; one whose header has a lookup table or a
    curve instead, as a viewer shows it. Volumes are cut along their third axis, with anterior, superior and the
    patient's right where a radiologist expects them.

    Args:
        path: anything that :class:`monai_semise.transforms.LoadCheckedImage` reads, of 1, 3 or 4 channels.

    Raises:
        InputError: naming the file, when it cannot be shown.
    """
    image = LoadCheckedImage(channels=None, spatial_dims=None)(path)
    if len(image) not in (1, 3, 4):
        raise InputError(
            f"{path}: {len(image)} channels; an image is shown with 1 (gray), 3 or 4 (RGB, alpha left out)"
        )
    info = DicomInfo.of(image)
    aspect = _aspect(image)
    if image.ndim == 4:
        image = _radiological(image)
    if info is not None and (len(image) > 1 or info.voi_lut is not None or info.voi_function != "LINEAR"):
        shown = plain_tensor(DicomToPresentation()(image))
        return _display(255 * shown if len(image) > 1 else shown, 0.0, 255.0 if len(image) > 1 else 1.0, aspect=aspect)
    values = plain_tensor(image)
    if len(values) > 1:
        return _display(values, 0.0, 255.0 if values.max() <= 255 else 65535.0, aspect=aspect)
    inverted = info is not None and info.photometric == "MONOCHROME1"
    if info is not None and info.padding is not None:
        padded = (values >= info.padding[0]) & (values <= info.padding[1])
        kept = values[~padded] if not padded.all() else values
        values = values.masked_fill(padded, float(kept.max() if inverted else kept.min()))
    low, high = float(values.min()), float(values.max())
    window = info.window if info is not None else None
    if window is not None and window[1] < 1:
        window = None
    return _display(values, low, max(high, low + 1e-6), window, inverted, aspect)


def _display(
    values: torch.Tensor,
    low: float,
    high: float,
    window: tuple[float, float] | None = None,
    inverted: bool = False,
    aspect: float = 1.0,
) -> DisplayImage:
    """Values of shape (C, x, y[, z]) as numbers of 16 bits, or 8 for color."""
    if values.ndim == 3:
        values = values[..., None]
    most, dtype = (65535, np.uint16) if len(values) == 1 else (255, np.uint8)
    scaled = ((values[:3].double() - low) / (high - low) * most).round().clamp(0, most)
    center, width = window if window is not None else ((low + high) / 2, high - low)
    shown = np.ascontiguousarray(scaled.numpy().astype(dtype).transpose(3, 2, 1, 0))
    return DisplayImage(shown, low, high, float(center), float(width), inverted, aspect)


def _radiological(volume: MetaTensor) -> MetaTensor:
    """The volume with its in-plane axes running to the patient's left, to posterior or inferior."""
    direction = io_orientation(np.asarray(volume.affine))[:2, 1]
    return volume.flip([1 + axis for axis in range(2) if direction[axis] > 0])  # type: ignore[return-value]


def _aspect(image: MetaTensor) -> float:
    spacing = np.asarray(image.pixdim, dtype=float)
    aspect = float(spacing[1] / spacing[0])
    return aspect if 0.05 < aspect < 20 else 1.0
