# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from monai_semise.apps.datasets.image_files import require_folder
from monai_semise.data.collection import Collection
from monai_semise.utils import InputError

__all__ = ["find", "note_unlisted", "require"]

DEPTH = 3


def find(root: Path, pattern: str) -> Iterator[Path]:
    """Files and folders whose name fits, in ``root`` and up to three folders below it, because archives are often
    unpacked into a folder of their own name.

    Args:
        root: where to look.
        pattern: regular expression of the whole name; upper and lower case are the same.

    Yields:
        the paths, those nearest to the root first, then in an order that no file system changes. Hidden ones are left
        out.
    """
    level = [root]
    for _ in range(DEPTH + 1):
        found = []
        for folder in level:
            with os.scandir(folder) as scan:
                found += [(Path(entry.path), entry.is_dir()) for entry in scan if not entry.name.startswith(".")]
        found.sort()
        yield from (path for path, _ in found if re.fullmatch(pattern, path.name, re.IGNORECASE))
        level = [path for path, is_folder in found if is_folder]


def require(root: Path, name: str, expected: str) -> Path:
    """The file or folder called ``name`` (upper and lower case are the same) that is nearest to the root, at most three
    folders below it.

    Args:
        root: where to look.
        name: of the file or folder.
        expected: what the root must hold, for the error.

    Raises:
        InputError: when there is none, saying what was found instead.
    """
    for path in find(require_folder(root, expected), re.escape(name)):
        return path
    found = sorted(path.name for path in root.iterdir())[:8] or ["nothing"]
    raise InputError(f"{root}: no {name!r} in it; --root must hold {expected}; found {', '.join(found)}")


def note_unlisted(collection: Collection, images: Iterable[Path], listed: set[Path]) -> None:
    """Note how many of the images on disk no table names; they are not used."""
    n_unlisted = sum(image not in listed for image in images)
    if n_unlisted:
        collection.notes.append(f"{n_unlisted} image file(s) that no table names are left out")
