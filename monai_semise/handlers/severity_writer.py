# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from monai_semise.data.datalist import UNGRADED
from monai_semise.severity import SeverityCalibrator
from monai_semise.utils import printable, write_whole

__all__ = ["SeverityWriterHandler"]

COLUMNS = ("image", "patient", "severity", "score", "position", "low", "high", "grade", "grades")


class SeverityWriterHandler:
    """Write the severity of each image to ``severity.csv`` as batches come, and what could not be read to
    ``unreadable.csv``.

    Rows go to the disk batch by batch, so memory does not grow with the number of images. Both files appear when all is
    done; a run that fails leaves what was there before.

    Columns: ``image``; ``patient``; ``severity`` (true grade, where known); ``score``; ``position`` on the grade scale
    with the ``low`` and ``high`` end of its conformal interval and the ``grades`` inside it (the conformal set);
    ``grade``, the network's own or the nearest to the position; and ``probability_0`` and so on, where the network
    gives them.

    Args:
        folder: where the files go.
        items: datalist items, by whose ``index`` the batches speak of them.
        calibrator: from scores to the grade scale; None leaves these columns empty.
        n_grades: number of grades whose probabilities the network gives; 0 = none.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        items: Sequence[Mapping[str, Any]],
        calibrator: SeverityCalibrator | None,
        n_grades: int = 0,
    ) -> None:
        self.folder = Path(folder)
        self.items = items
        self.calibrator = calibrator
        self.columns = (*COLUMNS, *(f"probability_{grade}" for grade in range(n_grades)))
        self.files = ExitStack()

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose batches come from a :class:`monai_semise.data.TolerantDataset`."""
        engine.add_event_handler(Events.STARTED, self._open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)
        engine.add_event_handler(Events.COMPLETED, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._drop)

    def _open(self, engine: Engine) -> None:
        self.severity, self.unreadable = (
            csv.writer(self.files.enter_context(write_whole(self.folder / name)))
            for name in ("severity.csv", "unreadable.csv")
        )
        self.severity.writerow(self.columns)
        self.unreadable.writerow(("image", "reason"))

    def _write(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        columns = self._columns({name: value.cpu().numpy() for name, value in output[CommonKeys.PRED].items()})
        for row, (index, error) in enumerate(zip(batch["index"].tolist(), batch["error"])):
            item = self.items[index]
            if error:
                self.unreadable.writerow((printable(item["image"]), printable(error)))
            else:
                cells = {
                    "image": printable(item["image"]),
                    "patient": item.get("group", ""),
                    "severity": "" if item["severity"] == UNGRADED else item["severity"],
                    **{name: values[row] for name, values in columns.items()},
                }
                self.severity.writerow([cells.get(column, "") for column in self.columns])

    def _columns(self, output: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Cells of the images of a batch, by column."""
        columns: dict[str, Any] = {"score": _texts(output["score"], 6)}
        if self.calibrator is not None:
            calibrated = self.calibrator.calibrate(output["score"])
            columns["grade"] = calibrated.grade
            columns["grades"] = [" ".join(map(str, inside)) for inside in calibrated.grade_sets()]
            columns.update({name: _texts(getattr(calibrated, name), 3) for name in ("position", "low", "high")})
        if "grade" in output:
            columns["grade"] = output["grade"]
        for grade, probability in enumerate(output["probabilities"].T if "probabilities" in output else ()):
            columns[f"probability_{grade}"] = _texts(probability, 6)
        return columns

    def _close(self, engine: Engine) -> None:
        self.files.close()

    def _drop(self, engine: Engine, error: Exception) -> None:
        self.files.__exit__(*sys.exc_info())
        raise error


def _texts(values: np.ndarray, digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]
