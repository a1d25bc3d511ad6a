# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.data.utils import orientation_ras_lps
from pydicom import Dataset

from monai_semise.utils import InputError

__all__ = ["order_and_affine"]

SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
SAME_PLACE = 1e-3
"""Millimeters; scanners round positions to this."""


def order_and_affine(headers: Sequence[Dataset], name: str, one_file: bool) -> tuple[list[int], np.ndarray]:
    """The geometric order of frames, and the affine of the volume that they make in this order.

    Frames are ordered along the normal of their plane. Those without a position keep the order of their instance
    numbers (several files) or their order in the file; so do the frames of one file that are all at one place (a
    cine). Both step by 1 along the normal.

    Args:
        headers: of each frame.
        name: what to call the image in an error.
        one_file: whether all frames are of one file.

    Returns:
        indices of the frames in order, and the affine, shape (4, 4), from (column, row, frame) to millimeters in RAS.
        Without orientation, columns and rows run as they do for a patient who lies on the back, head first.

    Raises:
        InputError: when frames differ in orientation or spacing, share a place, or have no order.
    """
    orientations = [_orientation(header) for header in headers]
    spacings = [_spacing(header) for header in headers]
    for found, what in ((orientations, "orientation"), (spacings, "pixel spacing")):
        if any(not np.allclose(value, found[0], rtol=1e-3, atol=1e-3) for value in found):
            raise InputError(f"{name}: its slices differ in {what}; give each stack of slices a folder of its own")
    axes, (row_spacing, column_spacing) = orientations[0], spacings[0]
    normal = np.cross(axes[0], axes[1])
    order, positions = _order(headers, normal, name, one_file)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = axes[0] * column_spacing, axes[1] * row_spacing
    affine[:3, 2] = normal
    if positions is not None:
        affine[:3, 3] = positions[0]
        if len(positions) > 1 and np.abs(positions - positions[0]).max() > SAME_PLACE:
            steps = np.arange(len(positions))[:, None] / (len(positions) - 1)
            step = (positions[-1] - positions[0]) / (len(positions) - 1)
            regular = positions[0] + steps * (positions[-1] - positions[0])
            if np.abs(positions - regular).max() > 0.1 * np.linalg.norm(step):
                warnings.warn(f"{name}: slices are missing or unevenly spaced; distances between them are a mean")
            affine[:3, 2] = step
    return order, np.asarray(orientation_ras_lps(affine))


def _order(
    headers: Sequence[Dataset], normal: np.ndarray, name: str, one_file: bool
) -> tuple[list[int], np.ndarray | None]:
    """Indices in order, and the positions in that order, shape (frames, 3)."""
    found: list[Any] = [header.get("ImagePositionPatient") for header in headers]
    placed = [position is not None and len(position) == 3 for position in found]
    if any(placed) and not all(placed):
        raise InputError(f"{name}: {placed.count(False)} of its {len(placed)} slices have no position; remove them")
    positions = np.array(found, dtype=float) if all(placed) else None
    in_file_order = list(range(len(headers)))
    if len(headers) == 1 or (one_file and (positions is None or np.ptp(positions, axis=0).max() < SAME_PLACE)):
        return in_file_order, positions
    if positions is None:
        numbers = [header.get("InstanceNumber") for header in headers]
        if None in numbers or len(set(numbers)) < len(numbers):
            raise InputError(f"{name}: its slices have neither positions nor distinct instance numbers; add them")
        return sorted(in_file_order, key=lambda n: int(numbers[n])), None
    depth = positions @ normal
    order = np.argsort(depth, kind="stable")
    shared = int((np.diff(depth[order]) < SAME_PLACE).sum())
    if shared:
        raise InputError(
            f"{name}: {shared} of its {len(order)} slices are at the place of another; "
            "give each volume (time, echo, b value) a folder of its own"
        )
    return order.tolist(), positions[order]


def _orientation(header: Dataset) -> np.ndarray:
    """Directions of rows and columns, shape (2, 3)."""
    axes = np.array(header.get("ImageOrientationPatient") or np.zeros(6), dtype=float).reshape(2, 3)
    if np.linalg.norm(np.cross(axes[0], axes[1])) < 0.5:  # missing, or the zeros that some devices write
        return np.eye(3)[:2]
    return axes


def _spacing(header: Dataset) -> np.ndarray:
    """Distance between rows and between columns in millimeters; 1 when unknown."""
    for keyword in SPACINGS:
        spacing = np.array(header.get(keyword) or [], dtype=float)
        if spacing.shape == (2,) and (spacing > 0).all():
            return spacing
    return np.ones(2)
