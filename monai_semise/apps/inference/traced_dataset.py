# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from torch import Tensor

from monai_semise.apps.datasets.dicom_files import read_header
from monai_semise.apps.datasets.image_files import VOLUME_SUFFIXES
from monai_semise.data import DicomInfo, TolerantDataset
from monai_semise.data.dicom_frames import GROUPS
from monai_semise.data.dicom_geometry import SPACINGS
from monai_semise.engines import InputGeometry
from monai_semise.utils import InputError, plain_tensor

__all__ = ["TracedDataset"]

WHOLE = 1e-6
"""How far an entry of an affine that moves pixels, without resampling them, may be from a whole number."""


class TracedDataset(TolerantDataset):
    """Items of a :class:`~monai_semise.data.TolerantDataset`, each with a text ``geometry``: where the image lies and
    which part of it the network sees, see :class:`~monai_semise.engines.InputGeometry`. Unreadable ones have none.

    The last step of the transform that does more to the image than flip and crop it must resize it.

    Args:
        data: see :class:`~monai_semise.data.TolerantDataset`.
        transform: reads and prepares one item, step by step.
        blank_shape: see :class:`~monai_semise.data.TolerantDataset`.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Compose, blank_shape: Sequence[int]) -> None:
        super().__init__(data, _Tracer(transform), blank_shape)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = super().__getitem__(index)
        image = item["image"]
        geometry = image.meta["geometry"] if isinstance(image, MetaTensor) else ""
        return {**item, "image": plain_tensor(image), "geometry": geometry}


class _Tracer:
    """A chain of transforms that leaves the geometry of ``image`` in its metadata, though a step drops these."""

    def __init__(self, transform: Compose) -> None:
        self.steps = transform.flatten()

    def __call__(self, item: Mapping[str, Any]) -> dict[str, Any]:
        path, data = str(item["image"]), dict(item)
        loaded: dict[str, Any] | None = None
        view: dict[str, Any] = {}
        for n in range(len(self.steps)):
            data = self.steps(data, start=n, end=n + 1)
            image = data["image"]
            if not isinstance(image, MetaTensor):
                continue
            if loaded is None:
                loaded = {"size": image.shape[1:], "affine": image.affine, "spacing": _spacing(path, image)}
                image.affine = torch.eye(4)  # from here on it tells pixels of the view from pixels of the image
            if _moves_whole_pixels(image.affine):
                view = {"view_size": image.shape[1:], "view_affine": image.affine}
        if loaded is None:
            raise InputError(f"{path}: its geometry is not known; call monai.data.set_track_meta(True)")
        geometry = InputGeometry.of_view(**loaded, **view)
        return {"image": MetaTensor(plain_tensor(data["image"]), meta={"geometry": geometry.to_text()})}


def _moves_whole_pixels(affine: Tensor) -> bool:
    linear = affine[:3, :3].abs()
    return torch.allclose(linear, torch.eye(3, dtype=linear.dtype), rtol=0, atol=WHOLE)


def _spacing(path: str, image: MetaTensor) -> list[float] | None:
    """Millimeters between pixels along each axis; None where the file does not tell."""
    known = _tells_spacing(Path(path)) if DicomInfo.of(image) else path.lower().endswith(VOLUME_SUFFIXES)
    return torch.linalg.norm(image.affine[:3, :3], dim=0)[: image.ndim - 1].tolist() if known else None


def _tells_spacing(path: Path) -> bool:
    """Whether a DICOM file, or one of a folder, tells how far pixels are apart: if not, the reader takes 1."""
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    headers = (read_header(file, [*SPACINGS, *GROUPS]) for file in files)
    return any(element.keyword in SPACINGS and element.value for header in headers for element in header.iterall())
