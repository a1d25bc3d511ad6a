# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from monai_semise.apps.calibration import group_of
from monai_semise.apps.compare.measured_rows import Run, measured_rows
from monai_semise.apps.compare.methods import BASELINE_NAMES, FOREST, Method
from monai_semise.apps.compare.options import ComparisonOptions
from monai_semise.apps.compare.plan import Plan
from monai_semise.apps.compare.result_table import Column, ResultTable, Row
from monai_semise.apps.compare.run_results import (
    CONSTANT,
    MaskScores,
    read_constant_mask,
    read_mask_scores,
    read_predictions,
)
from monai_semise.apps.compare.separability import LEVEL, patient_weights
from monai_semise.apps.compare.stage import Stage, state_of
from monai_semise.apps.evaluation_table import SHOWN
from monai_semise.metrics import (
    MEASURES,
    GradePrediction,
    constant_majority,
    known_mean,
    stratified_random,
)
from monai_semise.metrics.bootstrap import FEWEST_GROUPS

__all__ = ["alpha_table", "classification_table", "segmentation_table"]

Failures = Mapping[Path, str]
NOT_RUN = "not run"
FEWEST_RESAMPLES = 1000
RESAMPLES_A_ROW = 200
"""The smallest p-value that resamples can show, 2 / (R + 1), is multiplied by the number of comparisons."""


def classification_table(
    plan: Plan,
    options: ComparisonOptions,
    failures: Failures,
    forests: Mapping[tuple[float, int], GradePrediction | str],
) -> ResultTable:
    """Table 1: grades of the test images by each method, and by predictors that use no representation.

    Args:
        plan: of the comparison.
        options: of the comparison.
        failures: what went wrong, by folder of the stage.
        forests: predictions of the thumbnail forest, by share and seed, or why there is none.
    """
    n_grades = len(plan.grade_names)
    columns = [Column(name, MEASURES[name].higher_is_better) for name in SHOWN]
    n_compared = len(plan.methods) + len(BASELINE_NAMES)
    weight, y = _weights(plan, options, n_compared), _grades(plan)
    rows: list[Row] = []
    for share in options.shares:
        runs, notes = _classification_runs(plan, plan.methods, share, failures, y)
        seeds = [budget for budget in plan.budgets if budget.share == share]
        grown = [forests[share, budget.seed] for budget in seeds]
        made = {
            BASELINE_NAMES[0]: [constant_majority(_known(budget.content), len(y), n_grades) for budget in seeds],
            BASELINE_NAMES[1]: [
                stratified_random(_known(budget.content), len(y), n_grades, budget.seed) for budget in seeds
            ],
            FOREST: [forest for forest in grown if not isinstance(forest, str)],
        }
        notes |= _note(FOREST, len(made[FOREST]), len(grown), [forest for forest in grown if isinstance(forest, str)])
        runs |= {name: [_measures(prediction, y) for prediction in made[name]] for name in BASELINE_NAMES}
        rows += measured_rows(share, runs, columns, weight, notes)
    foot = f"{len(y)} test images. {_foot(options, n_compared, _groups(plan))}"
    return ResultTable("Table 1: severity classification", columns, rows, foot)


def alpha_table(plan: Plan, options: ComparisonOptions, failures: Failures) -> ResultTable:
    """What the runs of different alpha come to; the rows are in the order of the alphas."""
    columns = [Column("macro_f1", True)]
    n_compared = len(plan.alpha_methods)
    weight, y = _weights(plan, options, n_compared), _grades(plan)
    rows: list[Row] = []
    for share in options.shares:
        runs, notes = _classification_runs(plan, plan.alpha_methods, share, failures, y, known_only=True)
        rows += measured_rows(share, runs, columns, weight, notes)
    return ResultTable("SEMISE with other alphas (Fig. 3)", columns, rows, _foot(options, n_compared, _groups(plan)))


def segmentation_table(plan: Plan, options: ComparisonOptions, failures: Failures) -> ResultTable | None:
    """Table 2: masks of the test images; None when nothing was segmented."""
    if not any(stage.kind == "segmentation" for stage in plan.stages):
        return None
    columns = [Column("iou", True), Column("dice", True)]
    rows: list[Row] = []
    groups: list[str] = []
    for share in options.shares:
        stages, notes = _stages(plan, plan.methods, "segmentation", share, failures)
        scores = {name: [read_mask_scores(stage.folder) for stage in own] for name, own in stages.items()}
        every = [score for own in scores.values() for score in own]
        if not every:
            rows += [Row(share, name, {}, notes[name]) for name in scores]
            continue
        groups, structures = every[0].groups, every[0].structures
        if len(structures) > 1:
            each = [Column(f"{structure}_{name}", True) for structure in structures for name in ("iou", "dice")]
            columns = [*columns[:2], *each]
        weight = patient_weights(groups, _n_resamples(options, len(plan.methods)))
        shown = [name for name, dice in zip(structures, every[0].dice.unbind(1)) if not dice.isnan().all()]
        runs: dict[str, list[Run]] = {
            name: [_mask_measures(score, shown) for score in own] for name, own in scores.items()
        }
        of_seed = {stage.seed: stage.folder for own in stages.values() for stage in own}  # the same whatever the method
        runs[CONSTANT] = [_constant_measures(read_constant_mask(folder), shown) for folder in of_seed.values()]
        notes |= _note(CONSTANT, len(of_seed), options.n_seeds, [])
        rows += measured_rows(share, runs, columns, weight, notes, unmarked=[CONSTANT])
    foot = (
        f"{len(groups)} test images, means over those that show the structure. "
        f"{_foot(options, len(plan.methods), groups)} One mask for all images ({CONSTANT}) is not part of that "
        f"comparison; {_not_above_constant(rows)}"
        if any(row.cells for row in rows)
        else ""
    )
    return ResultTable("Table 2: segmentation", columns, rows, foot)


def _not_above_constant(rows: Sequence[Row]) -> str:
    floor = {row.share: row.cells["dice"].interval.mean for row in rows if row.method == CONSTANT}
    below = [
        f"{row.method} at {100 * row.share:g} %"
        for row in rows
        if row.cells and row.method != CONSTANT and row.cells["dice"].interval.mean <= floor[row.share]
    ]
    return f"no better than it in Dice: {', '.join(below)}." if below else "all are better than it in Dice."


def _classification_runs(
    plan: Plan, methods: Sequence[Method], share: float, failures: Failures, y: Tensor, known_only: bool = False
) -> tuple[dict[str, list[Run]], dict[str, str]]:
    stages, notes = _stages(plan, methods, "classification", share, failures, known_only)
    runs = {name: [_measures(read_predictions(stage.folder), y) for stage in own] for name, own in stages.items()}
    return runs, notes


def _stages(
    plan: Plan, methods: Sequence[Method], kind: str, share: float, failures: Failures, known_only: bool = False
) -> tuple[dict[str, list[Stage]], dict[str, str]]:
    """Finished stages of each method, and what is to be said of the others."""
    finished: dict[str, list[Stage]] = {}
    notes: dict[str, str] = {}
    for method in methods:
        own = [s for s in plan.stages if (s.method, s.kind, s.share) == (method.name, kind, share)]
        finished[method.name] = [
            stage for stage in own if stage.folder not in failures and state_of(stage) == "finished"
        ]
        wrong = [failures[stage.folder] for stage in own if stage.folder in failures]
        notes |= _note(method.name, len(finished[method.name]), len(own), wrong)
    if not known_only:
        finished |= {method.name: [] for method in plan.not_run}
        notes |= {method.name: NOT_RUN for method in plan.not_run}
    return finished, notes


def _note(name: str, n_finished: int, n_planned: int, wrong: Sequence[str]) -> dict[str, str]:
    if n_finished == n_planned:
        return {}
    reason = f"failed: {'; '.join(dict.fromkeys(wrong))}" if wrong else NOT_RUN
    return {name: reason if not n_finished else f"{n_finished} of {n_planned} runs; {reason}"}


def _grades(plan: Plan) -> Tensor:
    return torch.tensor([item["severity"] for item in plan.test])


def _known(content: Mapping[str, Any]) -> Tensor:
    return torch.tensor([item["severity"] for item in content["training"]])


def _weights(plan: Plan, options: ComparisonOptions, n_compared: int) -> Tensor:
    return patient_weights(_groups(plan), _n_resamples(options, n_compared))


def _groups(plan: Plan) -> list[str]:
    """Patient of each graded test image."""
    return [group_of(item) for item in plan.test]


def _n_resamples(options: ComparisonOptions, n_compared: int) -> int:
    return options.n_resamples or max(FEWEST_RESAMPLES, RESAMPLES_A_ROW * n_compared)


def _foot(options: ComparisonOptions, n_compared: int, groups: Sequence[str]) -> str:
    n_groups = len(set(groups))
    if n_groups == 1:
        return "All are of one patient, so that nothing can be told of others: no row is separable from the best."
    text = (
        f"Mean over seeds (n = {options.n_seeds}) ± half width of its 95 % interval (Student's t); compared by a "
        "bootstrap over test patients that is paired and Holm-corrected."
    )
    if n_groups < FEWEST_GROUPS:
        text += f" Of fewer than {FEWEST_GROUPS} patients, as here ({n_groups}), it tells too much apart."
    n_resamples = _n_resamples(options, n_compared)
    if 2 * (n_compared - 1) / (n_resamples + 1) < LEVEL:
        return text
    return f"{text} {n_resamples} resamples are too few to tell the best of {n_compared} rows from any other."


def _measures(prediction: GradePrediction, y: Tensor) -> Run:
    return {name: partial(MEASURES[name].function, getattr(prediction, MEASURES[name].part), y) for name in SHOWN}


def _mask_measures(scores: MaskScores, shown: Sequence[str]) -> Run:
    """Of each structure, and their means over those that test images show."""
    parts = {"iou": scores.iou, "dice": scores.dice}
    each = {
        f"{structure}_{name}": partial(known_mean, values[:, n])
        for n, structure in enumerate(scores.structures)
        for name, values in parts.items()
    }

    def over_structures(name: str, weight: Tensor) -> Tensor:
        return torch.stack([each[f"{s}_{name}"](weight) for s in shown or scores.structures]).mean(dim=0)

    return {**each, **{name: partial(over_structures, name) for name in parts}}


def _constant_measures(values: Mapping[str, float], shown: Sequence[str]) -> Run:
    means = {
        name: sum(values[f"{s}_{name}"] for s in shown) / len(shown) if shown else float("nan")
        for name in ("iou", "dice")
    }
    every = {**values, **means}
    return {name: partial(_always, value) for name, value in every.items()}


def _always(value: float, weight: Tensor) -> Tensor:
    return weight.new_full(weight.shape[1:], value)
