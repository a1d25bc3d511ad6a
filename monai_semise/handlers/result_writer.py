# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from monai_semise.utils import SemiseError, printable, write_whole

__all__ = ["ResultWriterHandler"]


class ResultWriterHandler(ABC):
    """Write a table of results as batches come, and what could not be used to ``unreadable.csv``.

    Rows go to the disk batch by batch, so memory does not grow with the number of images. Both files appear when all is
    done; a run that fails leaves what was there before. Columns of every table: ``image`` and ``patient``.

    Args:
        folder: where the files go.
        items: datalist items, by whose ``index`` the batches speak of them.
        name: of the table's file.
        columns: of the table, after ``image`` and ``patient``.
    """

    def __init__(
        self, folder: str | os.PathLike, items: Sequence[Mapping[str, Any]], name: str, columns: Sequence[str]
    ) -> None:
        self.folder = Path(folder)
        self.items = items
        self.name = name
        self.columns = ("image", "patient", *columns)
        self.files = ExitStack()

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose batches come from a :class:`monai_semise.data.TolerantDataset`."""
        engine.add_event_handler(Events.STARTED, self._open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)
        engine.add_event_handler(Events.COMPLETED, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._drop)

    @abstractmethod
    def _reader(self, batch: Mapping[str, Any], output: Any) -> Callable[[int], Iterable[Mapping[str, Any]]]:
        """What gives the rows of an image, by its place in the batch; cells that are left out stay empty.

        It may raise a :class:`~monai_semise.utils.SemiseError` for an image that cannot be used.
        """

    def _open(self, engine: Engine) -> None:
        self.table, self.unreadable = (
            csv.writer(self.files.enter_context(write_whole(self.folder / name)))
            for name in (self.name, "unreadable.csv")
        )
        self.table.writerow(self.columns)
        self.unreadable.writerow(("image", "reason"))

    def _write(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        rows_of = self._reader(batch, output[CommonKeys.PRED])
        for place, (index, error) in enumerate(zip(batch["index"].tolist(), batch["error"])):
            item = self.items[index]
            known = {"image": printable(item["image"]), "patient": printable(item.get("group", ""))}
            try:
                rows = [] if error else [{**known, **cells} for cells in rows_of(place)]
            except SemiseError as problem:
                rows, error = [], str(problem)
            self.table.writerows([row.get(column, "") for column in self.columns] for row in rows)
            if error:
                self.unreadable.writerow((known["image"], printable(error)))

    def _close(self, engine: Engine) -> None:
        self.files.close()

    def _drop(self, engine: Engine, error: Exception) -> None:
        self.files.__exit__(*sys.exc_info())
        raise error
