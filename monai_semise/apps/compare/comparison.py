# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import datetime
import importlib.metadata
import logging
import os
import platform
import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from monai.utils import optional_import

import monai_semise
from monai_semise.apps.compare.alpha_lines import COMPARISON, FIG3, alpha_lines, join_lines, read_alpha_lines
from monai_semise.apps.compare.figures import draw_figures
from monai_semise.apps.compare.left_out import reason_of
from monai_semise.apps.compare.methods import FOREST
from monai_semise.apps.compare.options import ComparisonOptions
from monai_semise.apps.compare.page import PAGE, write_comparison_page
from monai_semise.apps.compare.plan import Plan, make_plan
from monai_semise.apps.compare.result_table import ResultTable
from monai_semise.apps.compare.run_results import unreadable_results
from monai_semise.apps.compare.scheduler import Environment, device_slots, run_stages
from monai_semise.apps.compare.stage import earlier_start, read_record, state_of
from monai_semise.apps.compare.stage_configs import read_stage_config
from monai_semise.apps.compare.stage_process import StageProcess
from monai_semise.apps.compare.table_files import write_table
from monai_semise.apps.compare.tables import alpha_table, classification_table, segmentation_table
from monai_semise.apps.compare.thumbnail_forest import ThumbnailForest
from monai_semise.apps.compare.tuning import (
    Tuned,
    Tuning,
    adopt_trials,
    choose_settings,
    make_tuning,
    tried_settings,
    write_trials,
)
from monai_semise.data import write_datalist
from monai_semise.data.datalist import UNGRADED
from monai_semise.metrics import GradePrediction
from monai_semise.utils import InputError, ensure_writable, write_json

__all__ = ["compare_methods", "plan_lines"]

PACKAGES = ("torch", "monai", "pytorch-ignite", "numpy", "scipy", "scikit-learn")
LOCK = "running.lock"
TRIALS = "tuning.csv"
SOMETIMES = (TRIALS, "table2.*", "fig2_heat_maps.*", "fig3_alpha.*", "label_efficiency.*", "embedding.*")
"""Files that not every comparison writes."""
LATER = (COMPARISON, PAGE)
"""Files that would not belong to the tables when an error kept them from being written."""


def compare_methods(options: ComparisonOptions) -> Path:
    """Train every method under one budget and write tables, figures and a page about them.

    What an earlier start finished with the same settings is not done again; what it began goes on.

    Returns:
        the page.

    Raises:
        InputError: when something given cannot be used, or another comparison works in the same folder.
    """
    beside = [(folder, read_alpha_lines(folder)) for folder in options.beside]
    ensure_writable(options.out, option="--out")
    with _alone_in(options.out) as kept_open:
        slots = device_slots(options.jobs)
        processes = StageProcess(kept_open)
        plan = make_plan(options)  # what cannot be used is met before anything runs, tuning included
        for line in plan.settings_apart:
            logging.getLogger("monai_semise").warning(line)
        tuned = _tune(options, slots, processes) if options.tune else None
        if tuned is not None:
            plan = make_plan(options, tuned.chosen)
        failures = _run(plan, slots, processes, tuned)
        forests = _forests(plan, options, len(slots))
        classification = classification_table(plan, options, failures, forests)
        segmentation = segmentation_table(plan, options, failures)
        alpha = alpha_table(plan, options, failures) if plan.alpha_methods else None
        tables = {"table1": classification, **({} if segmentation is None else {"table2": segmentation})}
        for pattern in (*SOMETIMES, *LATER):
            for file in options.out.glob(pattern):
                file.unlink()  # of an earlier start
        if tuned is not None:
            write_trials(tuned.trials, options.tune_by, options.out / TRIALS)
        for stem, table in tables.items():
            write_table(table, options.out, stem)
        shown = {**tables, **({} if alpha is None else {FIG3: alpha})}
        facts = _facts(plan, options, failures, tuned)
        content = {**facts, "tables": {stem: _as_json(table) for stem, table in shown.items()}}
        write_json(options.out / COMPARISON, content)
        lines = {} if alpha is None else join_lines(alpha_lines(content), beside)
        figures = draw_figures(plan, options, classification, alpha, lines)
        return write_comparison_page(options.out, len(plan.test), shown, figures, facts)


def _tune(options: ComparisonOptions, slots: Sequence[Environment], processes: StageProcess) -> Tuned:
    tuning = make_tuning(options)
    return choose_settings(tuning, _run(tuning.plan, slots, processes))


def _run(
    plan: Plan, slots: Sequence[Environment], processes: StageProcess, tuned: Tuned | None = None
) -> dict[Path, str]:
    """Run what has not finished, and say what went wrong, by folder of the stage."""
    log = logging.getLogger("monai_semise")
    for line in earlier_start(plan.stages):
        log.warning(line)
    for budget in plan.budgets:
        write_datalist(budget.path, budget.content)
    if tuned is not None:
        adopt_trials(plan.stages, tuned)
    failures = run_stages(plan.stages, slots, processes)
    unreadable = unreadable_results(plan.stages, failures)
    for folder, reason in unreadable.items():
        log.warning(f"{folder}: {reason}")
    return failures | unreadable


def plan_lines(options: ComparisonOptions) -> Iterator[str]:
    """What a comparison would do: a line on each stage, whether it is finished, and its command."""
    plan = make_plan(options)  # what cannot be used is met here, as it would be at the start
    if not options.tune:
        yield from _lines_of(plan, options)
        return
    tuning = make_tuning(options)
    yield from _lines_of(tuning.plan, options, tuning)
    if all(stage.problem or state_of(stage) == "finished" for stage in tuning.plan.stages):
        failures = {stage.folder: stage.problem for stage in tuning.plan.stages if stage.problem}
        yield from _lines_of(make_plan(options, choose_settings(tuning, failures).chosen), options, tuning)
    else:
        yield "# then all seeds with the settings chosen; their commands can be shown when these have finished"


def _lines_of(plan: Plan, options: ComparisonOptions, tuning: Tuning | None = None) -> Iterator[str]:
    for line in _budget_statement(plan, options, tuning):
        yield f"# {line}"
    for line in earlier_start(plan.stages):
        yield f"# {line}"
    for budget in plan.budgets:
        n_known, n_unknown = len(budget.content["training"]), len(budget.content["unlabelled"])
        yield f"# {budget.path}: {n_known} labelled and {n_unknown} unlabelled training images"
    for stage in plan.stages:
        yield f"# {stage.title} ({f'cannot run: {stage.problem}' if stage.problem else state_of(stage)})"
        yield shlex.join(stage.command)


@contextmanager
def _alone_in(folder: Path) -> Iterator[tuple[int, ...]]:
    """Keep other comparisons out of the folder, also while a training process of a killed one still runs.

    Yields:
        what the training processes must inherit for that.
    """
    fcntl, found = optional_import("fcntl")
    if not found:  # no such lock on Windows
        yield ()
        return
    with open(folder / LOCK, "wb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"out: a comparison, or a training process of one that was killed, still works in {folder}; wait for "
                "it, end it, or name another --out"
            ) from error
        yield (stream.fileno(),)


def _forests(plan: Plan, options: ComparisonOptions, jobs: int) -> dict[tuple[float, int], GradePrediction | str]:
    """Predictions of the thumbnail forest, by share and seed, or why there is none."""
    config = read_stage_config(plan.configs["classification"], plan.settings["classification"])
    forest = ThumbnailForest(config.get("in_channels"), config.get("spatial_dims"), jobs)
    found: dict[tuple[float, int], GradePrediction | str] = {}
    for budget in plan.budgets:
        graded = [item for item in budget.content["training"] if item["severity"] != UNGRADED]
        try:
            made = forest.predict(graded, plan.test, len(plan.grade_names), budget.seed)
        except Exception as error:  # one row must not keep the others from the table
            made = reason_of(error)
            logging.getLogger("monai_semise").warning(
                f"{FOREST}, {100 * budget.share:g} % of labels, seed {budget.seed}: failed: {made}"
            )
        found[budget.share, budget.seed] = made
    return found


def _budget_statement(plan: Plan, options: ComparisonOptions, tuning: Tuning | None) -> list[str]:
    """What is the same for all methods, a sentence each."""
    config = read_stage_config(plan.configs["pretrain"], plan.settings["pretrain"])
    n_images = len(plan.budgets[0].content["training"]) + len(plan.budgets[0].content["unlabelled"])
    wanted = options.epochs * n_images
    seen = [number for own in plan.images_seen.values() for number in own]
    span = f" (rounded to whole epochs: {min(seen)} to {max(seen)})" if seen else ""
    return [
        f"Every method pretrains the same encoder ({config.get('backbone')}, images of {config.get('image_size')} "
        f"pixels, random start unless set) on the same images with the same augmentation, optimizer and schedule, but "
        f"for what its own overlay changes.",
        f"Budget: {options.epochs} passes over all {n_images} training images, {wanted} images seen{span}. The views "
        "of an image count once. Phase 1 of a method of two phases counts; it gets the part that its config gives it.",
        *_steps_statement(plan),
        f"The last epoch is kept in every stage; {'no epoch' if tuning else 'nothing'} is chosen on validation images. "
        "The classifier and the decoder on the frozen encoder are trained alike for all.",
        "At each label budget the same patients keep their labels for all methods; each seed draws its own, and "
        "smaller budgets lie inside larger ones. The images of the others stay, unlabelled.",
        *plan.settings_apart,
        *([] if tuning is None else [tried_settings(tuning)]),
    ]


def _steps_statement(plan: Plan) -> list[str]:
    """How many steps of the optimizer that comes to: far fewer where a method has larger batches."""
    steps = {method: own for method, own in plan.optimizer_steps.items() if own}
    if not steps:
        return []
    usual = statistics.median(most for _, most in steps.values())
    apart = {method: own for method, own in steps.items() if not usual / 2 <= own[1] <= usual * 2}
    near = [number for method, own in steps.items() if method not in apart for number in own]
    told = [_span(near), *(f"{method} {_span(own)}, as its batches differ" for method, own in apart.items())]
    return [f"Steps of the optimizer: {'; '.join(told)}."]


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def _facts(plan: Plan, options: ComparisonOptions, failures: Mapping[Path, str], tuned: Tuned | None) -> dict[str, Any]:
    failures = {**failures, **(tuned.failures if tuned else {})}
    stages = [*(tuned.tuning.plan.stages if tuned else []), *plan.stages]
    records = {stage.folder: read_record(stage.folder) for stage in stages}
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return {
        "data_set": plan.data_set,
        "budget": _budget_statement(plan, options, tuned.tuning if tuned else None),
        "tuning": [
            {
                "labelled": trial.share,
                "method": trial.method,
                "settings": trial.settings,
                "measure": options.tune_by,
                "validation": None if trial.value != trial.value else trial.value,
                "chosen": trial.chosen,
            }
            for trial in (tuned.trials if tuned else [])
        ],
        "images_seen": plan.images_seen,
        "optimizer_steps": plan.optimizer_steps,
        "methods": {
            **{method.name: method.description for method in (*plan.methods, *plan.not_run)},
            FOREST: "Random forest on 32 px thumbnails and grey-level histograms. Grades.",
        },
        "not_run": [method.name for method in plan.not_run],
        "stages": [
            {
                "method": stage.method,
                "labelled": stage.share,
                "seed": stage.seed,
                "stage": stage.kind,
                "command": shlex.join(stage.command),
                "state": "failed" if stage.folder in failures else state_of(stage),
                "error": failures.get(stage.folder, ""),
                "seconds": records[stage.folder].get("seconds"),
            }
            for stage in stages
        ],
        "versions": {
            "monai_semise": monai_semise.__version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, GPUs: "
        f"{', '.join(gpus) or 'none'}",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def _as_json(table: ResultTable) -> dict[str, Any]:
    """The table as plain values; nan becomes None."""

    def known(value: float | None) -> float | None:
        return None if value is None or value != value else value

    return {
        "title": table.title,
        "foot": table.foot,
        "rows": [
            {
                "labelled": row.share,
                "method": row.method,
                "note": row.note,
                "measures": {
                    name: {
                        "mean": known(cell.interval.mean),
                        "low": known(cell.interval.low),
                        "high": known(cell.interval.high),
                        "runs": list(map(known, cell.values)),
                        "mark": cell.mark,
                        "p_value": cell.p_value,
                    }
                    for name, cell in row.cells.items()
                },
            }
            for row in table.rows
        ],
    }
