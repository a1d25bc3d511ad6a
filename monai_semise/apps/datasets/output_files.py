# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import dataclasses
import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from monai_semise.data import write_datalist
from monai_semise.data.collection import Problem
from monai_semise.utils import InputError, ensure_writable, printable, write_whole

__all__ = ["OutputFiles"]


class OutputFiles:
    """What a run writes: the datalist ``F.json``, the table ``F_problems.csv`` of the images that are left out, if any,
    and the folder ``F_files`` of what the source made, if anything. All are replaced in the end, or none.

    Attributes:
        work: where the source may make files, a hidden folder beside the datalist.
        folder: where these files will be.

    Args:
        path: of the datalist.
        hidden: empty folder beside it.
        earlier_folder: name of the folder of what the source made for the datalist that is to be replaced.
    """

    def __init__(self, path: Path, hidden: Path, earlier_folder: str | None) -> None:
        self.path = path
        self.work = hidden / "files"
        self.folder = path.with_name(f"{path.stem}_files")
        self._earlier = path.with_name(earlier_folder) if earlier_folder else None
        self._old = hidden / "old"
        self._problems = hidden / "problems.csv"

    @classmethod
    @contextmanager
    def open(cls, path: Path, earlier_folder: str | None) -> Iterator[OutputFiles]:
        """Make what is needed to write ``path``; of a run that fails nothing is left.

        Raises:
            InputError: when its folder cannot be written.
        """
        missing = [folder for folder in path.parents if not folder.exists()]
        hidden = None
        try:
            hidden = Path(tempfile.mkdtemp(dir=ensure_writable(path.parent, option="--out"), prefix=f".{path.stem}."))
            yield cls(path, hidden, earlier_folder)
        finally:
            if hidden is not None:
                shutil.rmtree(hidden, ignore_errors=True)
            for folder in missing:
                with suppress(OSError):  # not empty: the run wrote something, or somebody else did
                    folder.rmdir()

    def check_folder(self) -> None:
        """Check that the folder of the files that were made is free.

        Raises:
            InputError: when a folder is there that is not of an earlier run.
        """
        if self.work.exists() and self.folder.exists() and self.folder != self._earlier:
            raise InputError(
                f"--out: {self.folder} exists, and the files made for {self.path.name} go there; "
                "move it, or name another --out"
            )

    def in_work(self, path: Path) -> Path:
        """Where this run makes a file that an earlier one made."""
        if self._earlier is None or not path.is_relative_to(self._earlier):
            return path
        return self.work / path.relative_to(self._earlier)

    def moved(self, value: Any) -> Any:
        """``value`` (text, a path, a problem, or lists and dictionaries of them) with paths as they are in the end."""
        if isinstance(value, dict):
            return {key: self.moved(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.moved(entry) for entry in value]
        if isinstance(value, Problem):
            return dataclasses.replace(value, image=self.moved(value.image), detail=self.moved(value.detail))
        if isinstance(value, Path):
            return Path(self.moved(str(value)))
        return value.replace(str(self.work), str(self.folder)) if isinstance(value, str) else value

    def write(self, datalist: Mapping[str, Any], problems: Sequence[Problem]) -> None:
        """Put everything into its place.

        Args:
            datalist: with paths as they are in the end.
            problems: likewise.
        """
        with write_whole(self._problems) as stream:
            stream.write(_table(problems))
        with ExitStack() as undo:
            if self.folder == self._earlier and self.folder.exists():
                self.folder.rename(self._old)
                undo.callback(self._old.rename, self.folder)
            if self.work.exists():
                self.work.rename(self.folder)
                undo.callback(self.folder.rename, self.work)
            write_datalist(self.path, datalist)
            undo.pop_all()
        final = self.path.with_name(f"{self.path.stem}_problems.csv")
        if problems:
            self._problems.replace(final)
        else:
            final.unlink(missing_ok=True)


def _table(problems: Sequence[Problem]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("image", "problem", "detail"))
    writer.writerows(map(printable, (problem.image, problem.kind, problem.detail)) for problem in problems)
    return table.getvalue()
