# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence

from monai_semise.metrics import Evaluation
from monai_semise.utils import write_whole

__all__ = ["evaluation_rows", "evaluation_summary", "evaluation_text", "write_evaluation_csv"]

SHOWN = ("macro_f1", "maee", "macro_recall", "quadratic_weighted_kappa", "c_index", "accuracy", "macro_auc")
"""Measures of the printed table: the paper's three, then those that the field uses most."""


def write_evaluation_csv(path: str | os.PathLike, evaluations: Mapping[str, Evaluation]) -> None:
    """Write one row for each section, predictor and measure, with its 95 % interval."""
    with write_whole(path) as stream:
        writer = csv.writer(stream)
        writer.writerow(("section", "predictor", "measure", "value", "low", "high", "images", "patients"))
        for section, evaluation in evaluations.items():
            for predictor, row in evaluation.rows.items():
                for measure, interval in row.items():
                    numbers = (f"{number:.6g}" for number in interval[:3])
                    writer.writerow((section, predictor, measure, *numbers, evaluation.n_images, evaluation.n_groups))


def evaluation_summary(evaluation: Evaluation) -> dict[str, object]:
    """The same as plain values for a JSON file; nan becomes None."""
    return {
        "images": evaluation.n_images,
        "patients": evaluation.n_groups,
        "warnings": evaluation.warnings,
        "rows": {
            predictor: {
                measure: [None if number != number else number for number in interval[:3]]
                for measure, interval in row.items()
            }
            for predictor, row in evaluation.rows.items()
        },
    }


def evaluation_text(section: str, evaluation: Evaluation, shown: Sequence[str] = SHOWN) -> list[str]:
    """Lines of a table to print: a row for each predictor with the measures ``shown``, then the warnings."""
    head, *rows = evaluation_rows(evaluation, shown)
    width = max(len(row[0]) for row in rows)
    lines = [f"{section}: {evaluation.n_images} images of {evaluation.n_groups} patients, with 95 % intervals"]
    lines += ["  ".join([f"{name:{width}}", *(f"{cell:24}" for cell in cells)]) for name, *cells in (head, *rows)]
    return lines + [f"Mind: {warning}" for warning in evaluation.warnings]


def evaluation_rows(evaluation: Evaluation, shown: Sequence[str] = SHOWN) -> list[list[str]]:
    """Cells of a table to show: a head, then a row for each predictor with the measures ``shown``."""
    measures = [name for name in shown if any(name in row for row in evaluation.rows.values())]
    rows = [[name, *(_cell(row, measure) for measure in measures)] for name, row in evaluation.rows.items()]
    return [["", *(measure.replace("_", " ") for measure in measures)], *rows]


def _cell(row: Mapping, measure: str) -> str:
    if measure not in row or row[measure].value != row[measure].value:
        return "-"
    interval = row[measure]
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
