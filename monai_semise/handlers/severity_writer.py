# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from monai_semise.data.datalist import UNGRADED
from monai_semise.handlers.result_writer import ResultWriterHandler
from monai_semise.severity import SeverityCalibrator
from monai_semise.utils import InputError

__all__ = ["SeverityWriterHandler"]

COLUMNS = ("severity", "score", "position", "low", "high", "grade", "grades")


class SeverityWriterHandler(ResultWriterHandler):
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
        columns = (*COLUMNS, *(f"probability_{grade}" for grade in range(n_grades)))
        super().__init__(folder, items, "severity.csv", columns)
        self.calibrator = calibrator

    def _reader(self, batch: Mapping[str, Any], output: Any) -> Callable[[int], Iterable[Mapping[str, Any]]]:
        values = {name: value.cpu().numpy() for name, value in output.items()}
        finite = np.isfinite(values["score"])
        columns = self._columns({**values, "score": np.where(finite, values["score"], 0)})
        severities = [self.items[index]["severity"] for index in batch["index"].tolist()]
        columns["severity"] = ["" if severity == UNGRADED else severity for severity in severities]

        def rows(place: int) -> list[dict[str, Any]]:
            if not finite[place]:
                raise InputError("its severity score is not a finite number; with --amp True, try --amp False")
            return [{name: cells[place] for name, cells in columns.items()}]

        return rows

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


def _texts(values: np.ndarray, digits: int) -> list[str]:
    return [f"{value:.{digits}f}" for value in values]
