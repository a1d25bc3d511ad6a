# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Which files an item is made of, and whether they changed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monai_semise.utils import InputError

__all__ = ["file_stamps", "source_files"]


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


def _stamp(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return ""
    if not stat.S_ISDIR(status.st_mode):
        return f"{status.st_size}-{status.st_mtime_ns}"
    files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    content = "\0".join(f"{os.path.relpath(file, path)}\0{_stamp(file)}" for file in files)
    return hashlib.sha256(os.fsencode(content)).hexdigest()
