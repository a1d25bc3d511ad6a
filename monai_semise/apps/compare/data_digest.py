# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from monai_semise.apps.compare.digest import short_digest
from monai_semise.data.datalist import SECTIONS
from monai_semise.data.source_files import detached_data
from monai_semise.utils import InputError

__all__ = ["data_digest", "file_states"]

FileState = list
"""Name, size and time of change; of a folder those of its files."""


def file_states(datalist: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, FileState]:
    """By which to tell later whether the images and masks of a datalist are still the same: by path, as it is there.

    Raises:
        InputError: when a file cannot be looked at.
    """
    real_folder = functools.cache(os.path.realpath)  # one folder holds many images
    states: dict[str, FileState] = {}
    for path in (path for items in datalist.values() for item in items for path in _paths(item)):
        folder, name = os.path.split(path)
        try:
            states[path] = [real_folder(folder), name, *_state(path)]
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); restore it, or remove the item") from error
    return states


def data_digest(content: Mapping[str, Any], states: Mapping[str, FileState]) -> str:
    """A datalist and the files that it names, as one short text.

    Args:
        content: sections, and what the datalist says beside them.
        states: see :func:`file_states`.
    """

    def stated(file: Any) -> Any:
        return [stated(entry) for entry in file] if isinstance(file, list) else file and states[file]

    told = {
        key: [{name: stated(v) if name in ("image", "mask") else v for name, v in item.items()} for item in value]
        if key in SECTIONS
        else value
        for key, value in content.items()
    }
    return short_digest(told)


def _paths(item: Mapping[str, Any]) -> Iterator[str]:
    yield item["image"]
    mask = item.get("mask")
    yield from filter(None, mask if isinstance(mask, list) else [mask])


def _state(path: str) -> list[Any]:
    status = os.stat(path)
    if not stat.S_ISDIR(status.st_mode):
        data = detached_data(path)
        return [status.st_size, status.st_mtime_ns, *([] if data is None else _state(data))]
    with os.scandir(path) as entries:
        shown = (entry for entry in entries if entry.is_file() and not entry.name.startswith("."))  # no .DS_Store
        files = sorted(shown, key=lambda entry: entry.name)
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
