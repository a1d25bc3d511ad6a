# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_semise.apps.datasets.image_files import list_images
from monai_semise.apps.datasets.volumes import find_volumes
from monai_semise.data.collection import Collection
from monai_semise.data.datalist import SECTIONS, UNGRADED, load_datalist
from monai_semise.data.structures import read_structures
from monai_semise.utils import InputError

__all__ = ["find_inputs"]


def find_inputs(
    source: str | os.PathLike | Sequence[str], spatial_dims: int = 2, structures: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Images to look at, as datalist items.

    Args:
        source: an image file, a folder (read with all below it; DICOM files are told by their content), a list of
            these, a text file with one path a line, or a datalist (JSON), of which the test section is taken where it
            is not empty, else everything.
        spatial_dims: 2: every file is an image; 3: DICOM files that lie directly in one folder are one image.
        structures: what a network outlines. Masks of a datalist with other structures are left out, and a warning goes
            to the log: they cannot be compared.

    Returns:
        items with ``image``, ``severity`` (negative where none is known) and ``index``; those of a datalist keep their
        ``group`` and ``mask``.

    Raises:
        InputError: when a path does not exist, or there is no image at all.
    """
    if isinstance(source, (str, os.PathLike)) and str(source).lower().endswith(".json"):
        datalist = load_datalist(source, required=(), graded=False)
        found = datalist["test"] or [item for section in SECTIONS for item in datalist[section]]
        if structures is not None:
            _leave_out_other_masks(found, source, structures)
    else:
        found = [{"image": path, "severity": UNGRADED} for path in _paths(source, spatial_dims)]
    if not found:
        raise InputError(f"input: {source} holds no image")
    return [{**item, "index": index} for index, item in enumerate(found)]


def _leave_out_other_masks(items: Sequence[dict[str, Any]], path: str | os.PathLike, structures: Sequence[str]) -> None:
    outlined = read_structures(path)
    if outlined == list(structures) or all(item.get("mask") is None for item in items):
        return
    logging.getLogger("monai_semise").warning(
        f"input: {path} has masks of {', '.join(outlined)}, and the network outlines {', '.join(structures)}: they are "
        "not compared"
    )
    for item in items:
        item.pop("mask", None)


def _paths(source: str | os.PathLike | Sequence[str], spatial_dims: int) -> list[str]:
    if isinstance(source, (str, os.PathLike)):
        path = Path(source).absolute()
        if path.suffix.lower() == ".txt" and path.is_file():
            source = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        else:
            source = [str(path)]
    paths: list[Path] = []
    for path in map(Path, source):
        if not path.exists():
            raise InputError(f"input: {path} does not exist; name a folder, an image, a list of images or a datalist")
        paths += _in_folder(path.absolute(), spatial_dims) if path.is_dir() else [path.absolute()]
    return [str(path) for path in paths]


def _in_folder(folder: Path, spatial_dims: int) -> list[Path]:
    files = list_images(folder, recursive=True, dicom_by_content=True)
    if spatial_dims == 2:
        return files
    collection = Collection(str(folder), ())
    volumes = find_volumes(files, collection)
    for problem in collection.problems:
        raise InputError(f"input: {problem.image} {problem.detail}")
    return volumes
