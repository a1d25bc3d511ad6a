# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from monai_semise.apps.compare.result_table import Cell, Column, Row
from monai_semise.apps.compare.seed_interval import seed_interval
from monai_semise.apps.compare.separability import separate_from_best

__all__ = ["Run", "measured_rows"]

Run = Mapping[str, Callable[[Tensor], Tensor]]
"""Measures of one run by name, each a function of how often each image counts (shape (N,) or (N, R)), as
:func:`monai_semise.metrics.bootstrap_intervals` takes them."""
CHUNK_ELEMENTS = 1 << 21


def measured_rows(
    share: float,
    runs: Mapping[str, Sequence[Run]],
    columns: Sequence[Column],
    weight: Tensor,
    notes: Mapping[str, str],
    unmarked: Sequence[str] = (),
) -> list[Row]:
    """Rows of a table for one label budget, with what is best and what is not separable from it.

    Args:
        share: label budget.
        runs: of each predictor, one a seed; none where it has no result.
        columns: measures.
        weight: how often each image counts in each resample of the patients, shape (N, R), see
            :func:`monai_semise.apps.compare.separability.patient_weights`.
        notes: to the rows, by predictor.
        unmarked: predictors that are not compared with the best.

    Returns:
        a row for each predictor.
    """
    once = torch.ones(len(weight), dtype=torch.float64)
    cells: dict[str, dict[str, Cell]] = {name: {} for name in runs}
    for column, higher_is_better in columns:
        values: dict[str, list[float]] = {}
        resampled: dict[str, Tensor] = {}
        for name, own in runs.items():
            metrics = [run[column] for run in own if column in run]
            if not metrics:
                continue
            values[name] = [float(metric(once)) for metric in metrics]
            cells[name][column] = Cell(seed_interval(values[name]), values=tuple(values[name]))
            if name not in unmarked:
                resampled[name] = torch.stack([_resample(metric, weight) for metric in metrics]).nanmean(dim=0)
        means = {name: cells[name][column].interval.mean for name in resampled}
        found = separate_from_best(means, resampled, higher_is_better)
        if found is None:
            continue
        cells[found.best][column] = cells[found.best][column]._replace(mark="best")
        tied = found.tied()
        for name, p_value in found.p_values.items():
            mark = "tied" if name in tied else ""
            cells[name][column] = cells[name][column]._replace(mark=mark, p_value=p_value)
    return [Row(share, name, own, notes.get(name, "")) for name, own in cells.items()]


def _resample(metric: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
    step = max(1, CHUNK_ELEMENTS // len(weight))
    return torch.cat([metric(part) for part in weight.split(step, dim=1)])
