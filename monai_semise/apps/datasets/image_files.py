# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from monai_semise.apps.datasets.dicom_files import DICOM_SUFFIXES, is_dicom_file
from monai_semise.utils import InputError

__all__ = [
    "FLAT_SUFFIXES",
    "IMAGE_SUFFIXES",
    "VOLUME_SUFFIXES",
    "image_stem",
    "list_images",
    "require_folder",
    "subfolder",
]

FLAT_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
"""File name endings of formats without a depth, in lower case."""
VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""File name endings of formats that hold a volume in one file, in lower case."""
IMAGE_SUFFIXES = (*FLAT_SUFFIXES, *VOLUME_SUFFIXES, *DICOM_SUFFIXES)
"""File name endings of images, in lower case."""


def image_stem(path: Path) -> str:
    """File name without the image ending: ``"a.nii.gz"`` gives ``"a"``.

    Example:
        >>> image_stem(Path("x/ISIC_1.JPG")), image_stem(Path("x/b.nii.gz")), image_stem(Path("x/no.ending"))
        ('ISIC_1', 'b', 'no.ending')
    """
    for suffix in sorted(IMAGE_SUFFIXES, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def list_images(folder: Path, recursive: bool = False, dicom_by_content: bool = False) -> list[Path]:
    """Image files of a folder by their ending, hidden ones left out, in an order that no file system changes.

    Args:
        folder: the folder.
        recursive: whether to look in the folders below it too.
        dicom_by_content: whether a file with another ending, or none, is opened to see if it is a DICOM file.
    """
    found = _below(folder) if recursive else folder.iterdir()
    return sorted(
        path
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
        and (path.name.lower().endswith(IMAGE_SUFFIXES) or (dicom_by_content and is_dicom_file(path)))
    )


def _below(folder: Path) -> Iterator[Path]:
    """All files below a folder, those behind links to other folders among them, each folder once."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link back to where it lies
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in names)


def require_folder(path: Path, expected: str) -> Path:
    """``path`` if it is a folder.

    Raises:
        InputError: when it is not, saying what the data set's root must hold and what was found there.
    """
    if path.is_dir():
        return path
    parent = next((p for p in path.parents if p.is_dir()), Path())
    found = sorted(os.listdir(parent))[:8] or ["nothing"]
    raise InputError(f"{path}: no such folder; --root must hold {expected}; found {', '.join(found)} in {parent}")


def subfolder(root: Path, names: Sequence[str]) -> Path | None:
    """The first of ``names`` that is a folder in ``root``, or one level below it (an archive unpacked into a folder of
    its own name); None when there is none."""
    for base in (root, *sorted(path for path in root.glob("*") if path.is_dir())):
        for name in names:
            if (base / name).is_dir():
                return base / name
    return None
