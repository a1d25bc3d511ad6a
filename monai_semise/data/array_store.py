# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import functools
import io
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np
from numpy.lib import format as npy

from monai_semise.utils import InputError, write_json, write_whole

__all__ = ["ArrayStore", "Entry", "RowWriter"]

SETTINGS, INDEX, LOCK = "settings.json", "index.jsonl", "lock"
FLUSH_SECONDS = 1.0
"""How much work a killed process loses at most; flushing to the disk after each row would be slow."""
SHOWN_DIFFERENCES = 3


class Entry(NamedTuple):
    """What the index tells of a finished row."""

    row: int
    files: tuple[str, ...]
    """Source files, as :meth:`ArrayStore.relative` names them."""
    stamps: tuple[str, ...]
    """Their state when they were read."""


class ArrayStore:
    """Rows of equally large arrays in a folder; they can be added to, and survive a kill at any moment.

    ========================  ====================================================================================
    ``<key>.npy``             array of shape (rows, *shape of a row), for ``np.load(..., mmap_mode="r")``
    ``index.jsonl``           a line a finished row: its number, source files (relative to the folder) and stamps;
                              of several lines for the same files the last one counts
    ``settings.json``         what the rows were made with
    ``lock``                  held by the process that adds rows
    ========================  ====================================================================================

    A row counts once its line is in the index, which is written after the row has reached the disk. Rows are written
    as to any file: written through a memory map, a full disk would end the process with a bus error.

    Args:
        folder: where the files lie; made when the first row is written.
        keys: names of the arrays of a row.
        settings: plain values that tell how rows are made.

    Raises:
        InputError: when the folder holds rows made with other settings, or files of another kind.
    """

    def __init__(self, folder: str | os.PathLike, keys: Sequence[str], settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder).absolute()
        self.keys = tuple(keys)
        self.settings: dict[str, Any] = json.loads(json.dumps({"keys": self.keys, **settings}))
        self._check_settings()

    def path(self, key: str) -> Path:
        """File of the arrays ``key``."""
        return self.folder / f"{key}.npy"

    def relative(self, paths: Sequence[str]) -> tuple[str, ...]:
        """How the index names source files, so that they and the folder can be moved together."""
        return tuple(_relative(path, self.folder) for path in paths)

    def entries(self) -> Iterator[Entry]:
        """Finished rows in the order in which they were added; of several with the same files the last one counts.

        Raises:
            InputError: when the index is damaged.
        """
        for entry, _ in self._read_index():
            yield entry

    def arrays(self) -> dict[str, np.ndarray]:
        """Memory maps of the arrays, read-only, by key.

        Raises:
            InputError: when a file is missing or damaged.
        """
        maps = {}
        for key in self.keys:
            try:
                maps[key] = np.asarray(np.load(self.path(key), mmap_mode="r"))
            except (OSError, ValueError, EOFError) as error:
                raise InputError(f"{self.path(key)}: cannot be read ({error}); delete {self.folder}") from error
        return maps

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the right to add rows; waits while another process has it.

        Raises:
            InputError: when the folder cannot be written, or the other process used other settings.
        """
        lock = filelock.FileLock(self.folder / LOCK)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(blocking=False)
            except filelock.Timeout:
                logging.getLogger("monai_semise").info(f"{self.folder}: another process is preparing it; waiting")
                lock.acquire()
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        try:
            self._check_settings()
            yield
        finally:
            lock.release()

    @contextmanager
    def writer(self, examples: Mapping[str, np.ndarray]) -> Iterator[RowWriter]:
        """Add rows; to be used while holding the :meth:`lock`.

        Whatever was added is kept when the block ends, by an exception too.

        Args:
            examples: an array of each key, for its shape and type.

        Raises:
            InputError: when the disk is full or cannot be written, or holds rows of another shape.
        """
        try:
            if not (self.folder / SETTINGS).exists():
                write_json(self.folder / SETTINGS, self.settings)
            rows = size = 0
            for entry, end in self._read_index():
                rows, size = max(rows, entry.row + 1), end
            writer = RowWriter(self, examples, rows, size)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        try:
            yield writer
        finally:
            writer.close()

    def _read_index(self) -> Iterator[tuple[Entry, int]]:
        """Finished rows, each with the bytes of the index up to its end."""
        path = self.folder / INDEX
        if not path.exists():
            return
        end = 0
        with open(path, "rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.endswith(b"\n"):  # cut short by a kill or a full disk
                    break
                try:
                    content = json.loads(line)
                    entry = Entry(content["row"], tuple(content["files"]), tuple(content["stamps"]))
                except (ValueError, TypeError, KeyError) as error:
                    raise InputError(f"{path}: line {number} is damaged; delete {self.folder}") from error
                end += len(line)
                yield entry, end

    def _check_settings(self) -> None:
        path = self.folder / SETTINGS
        if not path.exists():
            foreign = [file.name for file in map(self.path, self.keys) if file.exists()]
            if foreign:
                raise InputError(
                    f"{self.folder}: holds {foreign[0]} but no {SETTINGS}, so it is no folder of prepared images; "
                    "name another folder"
                )
            return
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); delete {self.folder}") from error
        before, now = _flat(found), _flat(self.settings)
        either = sorted(before.keys() | now.keys())
        values = {name: (before.get(name, "absent"), now.get(name, "absent")) for name in either}
        differing = [f"{name} = {old} (now {new})" for name, (old, new) in values.items() if old != new]
        if differing:
            shown = ", ".join(differing[:SHOWN_DIFFERENCES])
            more = len(differing) - SHOWN_DIFFERENCES
            raise InputError(
                f"{self.folder}: was prepared with {shown}{f' and {more} more differences' if more > 0 else ''}; "
                "restore the setting, name another folder, or delete this one"
            )


class RowWriter:
    """Adds rows to an :class:`ArrayStore`; made by :meth:`ArrayStore.writer`."""

    def __init__(self, store: ArrayStore, examples: Mapping[str, np.ndarray], rows: int, index_size: int) -> None:
        self._store = store
        self._finished = 0
        self._failed = False
        self._rows = rows
        self._lines: list[bytes] = []
        self._flushed_at = time.monotonic()
        self._columns: dict[str, _Column] = {}
        self._index_size = index_size
        self._index = io.FileIO(store.folder / INDEX, "ab")
        try:
            for key, example in examples.items():
                self._columns[key] = _Column(store.path(key), example.dtype, example.shape, rows)
        except BaseException:
            self._close_files()
            raise

    def add(self, paths: Sequence[str], stamps: Sequence[str], arrays: Mapping[str, np.ndarray]) -> None:
        """Add a row; it counts about a second later at the latest, when the next one is added.

        Args:
            paths: source files.
            stamps: their state, taken before they were read.
            arrays: the arrays, of the shape and type of all others.

        Raises:
            InputError: when the disk is full or cannot be written; the rows before are kept.
        """
        with self._reporting():
            row = self._rows + len(self._lines)
            for key, column in self._columns.items():
                column.write(row, arrays[key])
            line = {"row": row, "files": self._store.relative(paths), "stamps": list(stamps)}
            self._lines.append(json.dumps(line).encode("ascii") + b"\n")
            if time.monotonic() - self._flushed_at > FLUSH_SECONDS:
                self._flush()

    def close(self) -> None:
        """Make the rows count that were added, and close the files.

        Raises:
            InputError: see :meth:`add`.
        """
        try:
            if not self._failed:
                with self._reporting():
                    self._flush()
        finally:
            self._close_files()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failed = True
            with suppress(OSError):  # once more: cutting off the row that did not fit makes room for the index
                self._flush()
            raise _unwritable(self._store.folder, error, self._finished) from error

    def _flush(self) -> None:
        """Bring the rows to the disk, then their lines into the index."""
        rows = self._rows + len(self._lines)
        for column in self._columns.values():
            column.resize(rows)
        self._index.truncate(self._index_size)  # a line that was cut short
        content = b"".join(self._lines)
        _write(self._index, content)
        os.fsync(self._index)
        self._index_size += len(content)
        self._finished += len(self._lines)
        self._rows = rows
        self._lines.clear()
        self._flushed_at = time.monotonic()

    def _close_files(self) -> None:
        self._index.close()
        for column in self._columns.values():
            column.file.close()


class _Column:
    """A ``.npy`` file that grows along its first axis: numpy leaves room for that in the header."""

    def __init__(self, path: Path, dtype: np.dtype, shape: tuple[int, ...], rows: int) -> None:
        self.dtype, self.shape = dtype, shape
        self.row_size = dtype.itemsize * int(np.prod(shape))
        if not rows:
            with write_whole(path, "wb") as stream:
                self._write_header(stream, rows)
        elif not path.exists():
            raise InputError(f"{path}: is missing; delete {path.parent}")
        self.file = io.FileIO(path, "r+b")
        try:
            npy.read_magic(self.file)
            found_shape, _, found_dtype = npy.read_array_header_1_0(self.file)
        except ValueError as error:
            raise InputError(f"{path}: is damaged ({error}); delete {path.parent}") from error
        self.offset = self.file.tell()
        if (found_dtype, found_shape[1:]) != (dtype, shape):
            raise InputError(
                f"{path}: holds {found_dtype} arrays of shape {found_shape[1:]}, and now they are {dtype} of shape "
                f"{shape}; name another folder, or delete {path.parent}"
            )
        if found_shape[0] < rows or path.stat().st_size < self.offset + rows * self.row_size:
            raise InputError(f"{path}: is damaged (holds fewer rows than the index tells of); delete {path.parent}")
        self.resize(rows)

    def write(self, row: int, array: np.ndarray) -> None:
        self.file.seek(self.offset + row * self.row_size)
        _write(self.file, array.tobytes())

    def resize(self, rows: int) -> None:
        """Hold exactly ``rows`` rows, on the disk; the file is never shorter than its header says."""
        os.fsync(self.file)
        self.file.seek(0)
        self._write_header(self.file, rows)
        os.fsync(self.file)
        self.file.truncate(self.offset + rows * self.row_size)  # what a killed process, or a full disk, left unfinished

    def _write_header(self, stream: Any, rows: int) -> None:
        header = {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (rows, *self.shape)}
        npy.write_array_header_1_0(stream, header)


def _write(stream: io.FileIO, content: bytes) -> None:
    view = memoryview(content)
    while len(view):  # a nearly full disk takes a part
        view = view[stream.write(view) :]


def _relative(path: str, folder: Path) -> str:
    if not path:
        return path
    parent, name = os.path.split(path)
    return f"{_relative_folder(parent, folder)}/{name}"


@functools.lru_cache(maxsize=1024)  # data sets have many files in few folders
def _relative_folder(path: str, folder: Path) -> str:
    try:
        return os.path.relpath(path, folder).replace(os.sep, "/")
    except ValueError:  # on another drive
        return path


def _unwritable(folder: Path, error: OSError, finished: int = 0) -> InputError:
    kept = f"; {finished} more images were prepared and are kept" if finished else ""
    return InputError(
        f"{folder}: cannot be written ({error.strerror or error}){kept}; make room or name another folder, "
        "and start again"
    )


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Leaves of nested dictionaries and lists, by dotted name."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if children is None:
        return {name: value}
    flat = {}
    for key, child in children:
        flat.update(_flat(child, f"{name}.{key}" if name else str(key)))
    return flat or {name: value}
