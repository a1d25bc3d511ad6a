# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image
from torch import Tensor

from monai_semise.apps.datasets.image_files import FLAT_SUFFIXES, VOLUME_SUFFIXES, image_stem
from monai_semise.dicom import require_highdicom, write_dicom_seg
from monai_semise.engines import InputGeometry
from monai_semise.utils import InputError, write_whole

__all__ = ["MASK_FORMATS", "MaskFolder"]

MASK_FORMATS = {"png": ".png", "nifti": ".nii.gz", "dicom_seg": ".dcm"}
"""Ending of the files of each format."""
LONGEST = 100
"""Bytes that an image's or a structure's name may take up in a mask's."""
NIFTI_GEOMETRY = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)
"""Header fields that say where a NIfTI image lies; others hold free text."""
SCANNER = 1
"""NIfTI's code of scanner coordinates."""


class MaskFolder:
    """Mask files in the geometry of the images: same size, same axes, same place.

    Folders of the images are mirrored. A file for each structure, named ``<image>_<structure>``, of 0 and 255 (PNG) or
    0 and 1 (NIfTI); of exclusive structures one label map ``<image>_labels``, 1 = the first structure; of either kind
    one DICOM SEG ``<image>_masks``. Where two images would share a file (``a.png`` and ``a.jpg``), the later one's
    number in the input is added. Both kinds can be a ``mask`` in a datalist.

    Args:
        folder: where the files go.
        items: datalist items, by whose ``index`` images are named.
        structures: names of the masks.
        spatial_dims: of the images, 2 or 3.
        exclusive: whether the structures never overlap.
        mask_format: ``"png"`` (2D), ``"nifti"`` or ``"dicom_seg"`` (of DICOM, and with the identity of its patient);
            None takes PNG for pictures in 2D, NIfTI for volumes and for what has a place in space (DICOM, NIfTI, NRRD,
            MetaImage).

    Raises:
        InputError: when the format cannot hold the masks, or its package is missing.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        items: Sequence[Mapping[str, Any]],
        structures: Sequence[str],
        spatial_dims: int = 2,
        exclusive: bool = False,
        mask_format: str | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.items = items
        self.structures = list(structures)
        self.spatial_dims = spatial_dims
        self.exclusive = exclusive
        self.mask_format = mask_format
        self._check()
        self.files = self._names()

    def __call__(self, index: int, masks: Tensor, geometry: InputGeometry) -> list[str]:
        """Write the masks of an image, each file whole or not at all.

        Args:
            index: of the item.
            masks: 0 and 1, uint8, shape (S, *spatial).
            geometry: of the image.

        Returns:
            for each structure its file, relative to the folder that this one lies in.

        Raises:
            InputError: when the image cannot have masks of the format.
        """
        image, files = Path(self.items[index]["image"]), [self.folder / name for name in self.files[index]]
        values = masks.cpu().numpy()
        if files[0].name.endswith(".dcm"):
            write_dicom_seg(files[0], image, values, self.structures)
        else:
            write = _write_png if files[0].name.endswith(".png") else _write_nifti
            if self.exclusive:
                labels = np.arange(1, len(values) + 1, dtype=np.uint8).reshape(-1, *[1] * (values.ndim - 1))
                values = (values * labels).max(axis=0, keepdims=True)
            elif write is _write_png:
                values = values * 255
            for file, one in zip(files, values):
                write(file, one, image, geometry)
        names = [(Path(self.folder.name) / name).as_posix() for name in self.files[index]]
        return names if len(names) == len(masks) else names * len(masks)

    def _check(self) -> None:
        if self.mask_format is None:
            return
        if self.mask_format not in MASK_FORMATS:
            raise InputError(f"mask_format: {self.mask_format!r} is not one of {', '.join(MASK_FORMATS)}")
        if self.mask_format == "png" and self.spatial_dims == 3:
            raise InputError("mask_format: png holds no volume; use nifti, or dicom_seg for DICOM")
        if self.mask_format == "dicom_seg":
            require_highdicom("mask_format dicom_seg")
            for item in self.items:
                if item["image"].lower().endswith((*FLAT_SUFFIXES, *VOLUME_SUFFIXES)):
                    raise InputError(
                        f"mask_format: dicom_seg is for DICOM images, and {item['image']} is none; use png or nifti, "
                        "or leave it out of the input"
                    )

    def _names(self) -> list[list[str]]:
        """Files of every image, relative to the folder."""
        paths = [Path(os.path.abspath(item["image"])) for item in self.items]
        root = os.path.commonpath([path.parent for path in paths]) if paths else ""
        taken: set[str] = set()
        names = []
        for index, path in enumerate(paths):
            stem = _shortened(image_stem(path))
            parent, found = path.parent.relative_to(root), self._files_of(path, stem)
            while taken & {str(parent / file).casefold() for file in found}:  # file systems may not tell A from a
                stem = f"{stem}_{index}"
                found = self._files_of(path, stem)
            found = [str(parent / file) for file in found]
            taken |= {file.casefold() for file in found}
            names.append(found)
        return names

    def _files_of(self, path: Path, stem: str) -> list[str]:
        flat = self.spatial_dims == 2 and path.name.lower().endswith(FLAT_SUFFIXES)
        chosen = self.mask_format or ("png" if flat else "nifti")
        parts = ["masks"] if chosen == "dicom_seg" else ["labels"] if self.exclusive else _file_names(self.structures)
        return [f"{stem}_{part}{MASK_FORMATS[chosen]}" for part in parts]


def _file_names(structures: Sequence[str]) -> list[str]:
    """Names of structures as parts of file names, no two alike.

    Example:
        >>> _file_names(["Optic disc", "optic/disc", "Läsion"])
        ['Optic_disc', 'optic_disc_2', 'Läsion']
    """
    names: list[str] = []
    for n, structure in enumerate(structures, 1):
        name = _shortened("".join(c if c.isalnum() or c in "-." else "_" for c in structure))
        names.append(f"{name}_{n}" if name.casefold() in map(str.casefold, names) else name)
    return names


def _shortened(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:LONGEST])


def _write_png(path: Path, values: np.ndarray, image: Path, geometry: InputGeometry) -> None:
    with write_whole(path, "wb") as stream:
        Image.fromarray(np.ascontiguousarray(values.T)).save(stream, format="PNG")  # rows of a picture run along x


def _write_nifti(path: Path, values: np.ndarray, image: Path, geometry: InputGeometry) -> None:
    if image.name.lower().endswith((".nii", ".nii.gz")):
        source: Any = nib.load(image).header
        result = nib.Nifti1Image(values.reshape(source.get_data_shape()[: max(3, values.ndim)]), None)
        for field in NIFTI_GEOMETRY:
            result.header[field] = source[field]
    else:
        values = values if values.ndim == 3 else values[..., None]
        result = nib.Nifti1Image(values, np.array(geometry.affine))
        result.set_sform(np.array(geometry.affine), SCANNER)
        result.set_qform(np.array(geometry.affine), SCANNER)
        result.header.set_xyzt_units("mm")
    with write_whole(path, "wb") as stream:
        stream.write(gzip.compress(result.to_bytes(), mtime=0))
