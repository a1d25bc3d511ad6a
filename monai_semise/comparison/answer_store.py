# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from monai_semise.comparison.answer import Answer, check_answer, check_name
from monai_semise.utils import InputError, SemiseError

__all__ = ["AnswerStore", "StorageError", "read_answers"]


class StorageError(SemiseError, OSError):
    """An answer could not be written; it is not stored, and may be sent again."""


BEGIN = b'{"id": "'
"""Of every line that this module writes."""


class Undo(NamedTuple):
    """Takes an answer back; the answer itself stays in the file."""

    id: str
    undo: str
    rater: str
    time: str


Record = Answer | Undo


class AnswerStore:
    """Answers of raters in a file that only grows, one line of JSON each.

    When :meth:`add` or :meth:`undo` returns, the record is on the disk: a crash loses none. A line that a crash or a
    full disk cut short was never acknowledged; it is taken off when the store is opened. To take an answer back is a
    record too. One process at a time can open a store; the operating system frees it when that process ends in whatever
    way. Not for several threads at once, see :class:`monai_semise.comparison.ComparisonSession`.

    Args:
        path: the file; made when missing, with its folder.

    Raises:
        InputError: when another process has it open, it cannot be written, or holds anything but answers.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/answers.jsonl"
        >>> answer = Answer("7f3a", "a.png", "b.png", "left", "dr x", "2026-01-31T09:00:00Z", 2.5)
        >>> with AnswerStore(path) as store:
        ...     store.add(answer), store.add(answer)  # a double click
        (True, False)
        >>> read_answers(path) == [answer]
        True
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path).absolute()
        self._lock = FileLock(f"{self.path}.lock", timeout=0, thread_local=False)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except Timeout:
            raise InputError(
                f"{self.path}: another server has these answers open; stop it, or name another file"
            ) from None
        except OSError as error:
            self._lock.release()
            raise InputError(f"{self.path}: cannot be opened for answers ({error.strerror or error})") from error
        try:
            self._records: dict[str, Record] = {}
            self._load()
        except BaseException:
            self.close()
            raise

    @property
    def answers(self) -> list[Answer]:
        """All answers that were not taken back, oldest first."""
        return _standing(self._records.values())

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._records

    def undone_by(self, identifier: str) -> Answer:
        """The answer that an act of :meth:`undo` took back.

        Raises:
            InputError: when the identifier is that of an answer.
        """
        record = self._records[identifier]
        if isinstance(record, Answer):
            raise InputError(f"id: {identifier!r} is that of an answer; make a new one to take it back")
        return self._records[record.undo]  # type: ignore[return-value]

    def add(self, answer: Answer) -> bool:
        """Store an answer.

        Returns:
            False when it was there already.

        Raises:
            InputError: when it is none, or another one has its id.
            StorageError: when it could not be written.
        """
        check_answer(answer)
        return self._add(answer)

    def undo(self, identifier: str, answer: Answer, time: str) -> bool:
        """Take an answer back.

        Args:
            identifier: of this act, made by the page as that of an answer.
            answer: to take back.
            time: ISO 8601 in UTC.

        Returns:
            False when this was done already.

        Raises:
            InputError: when something else has the identifier.
            StorageError: when it could not be written.
        """
        check_name(identifier, "id")
        return self._add(Undo(identifier, answer.id, answer.rater, time))

    def close(self) -> None:
        """Let others open the file."""
        os.close(self._descriptor)
        self._lock.release()

    def __enter__(self) -> AnswerStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self) -> None:
        content = self.path.read_bytes()
        records, self._size = _parse(content, self.path)
        for record in records:
            self._records.setdefault(record.id, record)
        os.ftruncate(self._descriptor, self._size)
        if self._size and not content.endswith(b"\n", 0, self._size):
            self._write(b"\n")
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # else a power failure could take a new file with it
        finally:
            os.close(folder)

    def _add(self, record: Record) -> bool:
        known = self._records.get(record.id)
        if known is not None:
            if _told(known) != _told(record):
                raise InputError(f"id: {record.id!r} is that of another answer; make a new one for each answer")
            return False
        self._write(json.dumps(record._asdict()).encode("ascii") + b"\n")
        self._records[record.id] = record
        return True

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            os.ftruncate(self._descriptor, self._size)  # takes off what a failed write left
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise StorageError(f"{self.path}: not stored ({error.strerror}); make room, and send it again") from error
        self._size += len(line)


def read_answers(path: str | os.PathLike) -> list[Answer]:
    """Answers of a store that were not taken back, oldest first; a server may have it open.

    Raises:
        InputError: when the file is missing or holds anything but answers.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return _standing(_parse(content, path)[0])


def _standing(records: Iterable[Record]) -> list[Answer]:
    records = list(records)
    undone = {record.undo for record in records if isinstance(record, Undo)}
    return [record for record in records if isinstance(record, Answer) and record.id not in undone]


def _parse(content: bytes, path: str | os.PathLike) -> tuple[list[Record], int]:
    """The records, and up to which byte they go: a last line that is cut short is left out."""
    *lines, tail = content.split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        record = _record(line)
        if record is None:
            raise InputError(
                f"{path}, line {number}: {line[:40]!r} is no answer; restore the file from a copy, or name another one"
            )
        records.append(record)
    last = _record(tail)
    if last is None:
        written = tail.rstrip(b"\0")  # which a power failure can leave
        if not (records or written.startswith(BEGIN) or BEGIN.startswith(written)):
            raise InputError(f"{path}: {tail[:40]!r} is no answer; name another file")
        return records, len(content) - len(tail)
    return [*records, last], len(content)  # whole but for the end of its line, as an editor leaves it


def _record(line: bytes) -> Record | None:
    try:
        fields: Any = json.loads(line)
        kind = Undo if "undo" in fields else Answer
        record = kind(**fields)
        if isinstance(record, Answer):
            check_answer(record)
        return record if all(isinstance(value, str) for value in record[:6]) else None
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _told(record: Record) -> tuple:
    """What a record says, without when."""
    return record[:5] if isinstance(record, Answer) else record[:3]
