# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from monai_semise.apps.datasets.image_files import image_stem, list_images
from monai_semise.apps.datasets.layout import note_unlisted
from monai_semise.apps.datasets.tables import table_rows, whole_number
from monai_semise.data.collection import Collection, ProblemKind, Record
from monai_semise.utils import InputError

__all__ = ["add_graded_images"]


def add_graded_images(
    collection: Collection,
    table: pd.DataFrame,
    folder: Path,
    image_column: str,
    grade_column: str,
    split: str | None = None,
    group_of: Callable[[str], str | None] | None = None,
) -> None:
    """Add the images of a folder that a table grades by whole numbers, 0 = the mildest.

    A file is found by the name in the table, with or without its ending, in upper or lower case, in the folder or
    below it. An empty grade is that of an ungraded image.

    Args:
        collection: to add records, problems and a note on images that the table does not name to.
        table: as :func:`read_table` returns it.
        folder: of the images.
        image_column: column of the file names.
        grade_column: column of the grades.
        split: of all these images.
        group_of: gives the group for a file name without its ending.

    Raises:
        InputError: when the folder holds no image.
    """
    images = list_images(folder, recursive=True)
    if not images:
        raise InputError(f"{folder}: holds no images; unpack them there")
    files: dict[str, Path] = {}
    for key in (lambda path: path.name, image_stem, lambda path: path.name.lower(), _folded_stem):
        for image in images:
            files.setdefault(key(image), image)
    listed: set[Path] = set()
    for line, row in table_rows(table):
        name, cell = row[image_column], row[grade_column]
        image = files.get(name) or files.get(name.lower()) or files.get(_folded_stem(Path(name)))
        severity = whole_number(cell)
        if image is None:
            collection.skip(ProblemKind.MISSING, folder / name, f"named in line {line} of the table")
            continue
        listed.add(image)
        if cell and (severity is None or severity >= len(collection.grades)):
            detail = (
                f"{grade_column} {cell!r} in line {line} of the table; the grades are 0 to {len(collection.grades) - 1}"
            )
            collection.skip(ProblemKind.GRADE, image, detail)
            continue
        group = group_of(image_stem(image)) if group_of else None
        collection.records.append(Record(image, severity, group, split))
    note_unlisted(collection, images, listed)


def _folded_stem(path: Path) -> str:
    return image_stem(path).lower()
