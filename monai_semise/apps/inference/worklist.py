# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from monai_semise.utils import write_whole

__all__ = ["Worklist"]


class Worklist:
    """The rows of ``severity.csv`` by severity, the most severe first, equal ones in the order of the input.

    Holds two numbers an image; rows are read from the file when they are wanted.

    Args:
        path: the file, as :class:`monai_semise.handlers.SeverityWriterHandler` writes it, a row a line.

    Attributes:
        columns: of the file.
        positions: place of each image on the grade scale, or its score where there is no calibration, the most severe
            first, shape (N,).
        position: which of both, ``"position"`` or ``"score"``.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        starts, scores, positions, graded = array("q"), array("d"), array("d"), array("b")
        with open(self.path, "rb") as stream:
            self.columns = _cells(stream.readline())
            place = {column: n for n, column in enumerate(self.columns)}
            start = stream.tell()
            for line in stream:
                cells = _cells(line)
                starts.append(start)
                scores.append(float(cells[place["score"]]))
                positions.append(float(cells[place["position"]] or "nan"))
                graded.append(bool(cells[place["severity"]] and cells[place["grade"]]))
                start += len(line)
        order = np.argsort(-np.array(scores), kind="stable")
        self._starts = np.array(starts, dtype=np.int64)[order]
        self._graded = np.array(graded, dtype=bool)[order]
        calibrated = np.array(positions)[order]
        self.position = "score" if np.isnan(calibrated).all() else "position"
        self.positions = np.array(scores)[order] if self.position == "score" else calibrated

    def __len__(self) -> int:
        return len(self._starts)

    def head(self, n: int) -> pd.DataFrame:
        """The ``n`` most severe images; cells are text but for ``rank``, from 1, and ``score``."""
        return self._table(np.arange(min(n, len(self))))

    def graded(self) -> pd.DataFrame:
        """The images whose true grade is known and who got one; cells as of :meth:`head`."""
        return self._table(np.flatnonzero(self._graded))

    def write(self, path: str | os.PathLike) -> None:
        """Write all rows with a column ``rank``."""
        with write_whole(path) as stream:
            writer = csv.writer(stream)
            writer.writerow(["rank", *self.columns])
            for rank, cells in enumerate(self._rows(range(len(self))), start=1):
                writer.writerow([rank, *cells])

    def _rows(self, ranks: Iterable[int]) -> Iterator[list[str]]:
        with open(self.path, "rb") as stream:
            for rank in ranks:
                stream.seek(self._starts[rank])
                yield _cells(stream.readline())

    def _table(self, ranks: np.ndarray) -> pd.DataFrame:
        table = pd.DataFrame(list(self._rows(ranks)), columns=self.columns, dtype=str)
        table["score"] = table["score"].astype(float)
        table.insert(0, "rank", ranks + 1)
        return table


def _cells(line: bytes) -> list[str]:
    return next(csv.reader([line.decode("utf-8")]))
