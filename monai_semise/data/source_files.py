# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Which files an item is made of, and whether they changed."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monai_semise.utils import InputError

__all__ = ["detached_data", "file_stamps", "source_files"]

DETACHED = (".mhd", ".nhdr")
DATA_FILE = re.compile(rb"^\s*(?:ElementDataFile\s*=|data ?file\s*:)\s*(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)
HEADER_BYTES = 1 << 16


def source_files(item: Mapping[str, Any], keys: Iterable[str]) -> tuple[str, ...]:
    """Absolute paths of the files (or folders) that an item names under ``keys``, singly or in lists.

    A list may hold None where there is no file; the path is then empty.

    Raises:
        InputError: when there is none at all, or something else than a path.

    Example:
        >>> source_files({"image": "/a.png", "mask": ["/m.png", None]}, keys=("image", "mask"))
        ('/a.png', '/m.png', '')
    """
    files: list[str] = []
    for key in keys:
        value = item.get(key, ())
        for file in value if isinstance(value, (list, tuple)) else (value,):
            if not (file is None or isinstance(file, (str, os.PathLike))):
                raise InputError(f"item field {key}: expected the path of a file, found {type(file).__name__}")
            files.append("" if file is None else os.path.abspath(file))
    if not any(files):
        raise InputError(f"item without a file: expected one under {', '.join(keys)}, found only {', '.join(item)}")
    return tuple(files)


def file_stamps(files: Sequence[str]) -> tuple[str, ...]:
    """For each file a text that changes with its size and modification time; empty when there is no file.

    That of a folder changes with any file in it, or below.
    """
    return tuple(_stamp(file) if file else "" for file in files)


def detached_data(path: str) -> str | None:
    """The file that holds the values of a volume whose header is a file of its own (MetaImage, NRRD); None for others,
    and where the header names none, or several."""
    if not path.lower().endswith(DETACHED):
        return None
    try:
        with open(path, "rb") as stream:
            found = DATA_FILE.search(stream.read(HEADER_BYTES))
    except OSError:
        return None
    data = None if found is None else os.path.join(os.path.dirname(path), os.fsdecode(found[1]))
    return data if data is not None and os.path.isfile(data) else None


def _stamp(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return ""
    if not stat.S_ISDIR(status.st_mode):
        data = detached_data(path)
        return f"{status.st_size}-{status.st_mtime_ns}" + ("" if data is None else f" {_stamp(data)}")
    files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    content = "\0".join(f"{os.path.relpath(file, path)}\0{_stamp(file)}" for file in files)
    return hashlib.sha256(os.fsencode(content)).hexdigest()
