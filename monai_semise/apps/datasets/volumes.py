# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from monai_semise.apps.datasets.dicom_files import read_header
from monai_semise.apps.datasets.image_files import FLAT_SUFFIXES, VOLUME_SUFFIXES
from monai_semise.data.collection import Collection, ProblemKind

__all__ = ["find_volumes"]


def find_volumes(files: Sequence[Path], collection: Collection) -> list[Path]:
    """Volumes among image files: those of volume formats, multi-frame DICOM files, and folders of DICOM slices.

    Slices that lie directly in one folder are one volume. A folder that mixes several series is noted as a problem of
    the collection, images of other formats are counted in a note.

    Args:
        files: the image files.
        collection: to add problems and notes to.

    Returns:
        the volumes, in order.
    """
    volumes: list[Path] = []
    series: dict[Path, set[str]] = defaultdict(set)
    with_frames: set[Path] = set()
    n_flat = 0
    for path in tqdm(files, desc="Finding volumes", unit="file"):
        if path.name.lower().endswith(VOLUME_SUFFIXES):
            volumes.append(path)
        elif path.name.lower().endswith(FLAT_SUFFIXES):
            n_flat += 1
        else:
            header = read_header(path, ["NumberOfFrames", "SeriesInstanceUID"])
            if str(header.get("NumberOfFrames") or 1) == "1":
                series[path.parent].add(str(header.get("SeriesInstanceUID")))
            else:
                volumes.append(path)
                with_frames.add(path.parent)
    for folder, identifiers in series.items():
        if len(identifiers) > 1 or folder in with_frames:
            detail = "holds slices of several DICOM series; give each a folder of its own"
            collection.skip(ProblemKind.UNREADABLE, folder, detail)
        else:
            volumes.append(folder)
    if n_flat:
        collection.notes.append(f"{n_flat} image(s) of formats without a depth, such as PNG, are left out")
    return sorted(volumes)
