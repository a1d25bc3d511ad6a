# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from monai_semise.apps.compare.method_settings import check_own_settings, give_own_settings, settings_apart
from monai_semise.apps.compare.methods import ALPHA, Method, choose_methods, find_methods
from monai_semise.apps.compare.options import ComparisonOptions
from monai_semise.apps.compare.plan import Plan, TunedSettings, plan_methods
from monai_semise.apps.compare.run_results import read_predictions, unreadable_results
from monai_semise.apps.compare.stage import Stage, adopt_run, runs_of, state_of
from monai_semise.apps.compare.tuning_grid import settings_as_text, tuning_grid
from monai_semise.metrics import MEASURES
from monai_semise.utils import InputError, write_whole

__all__ = [
    "Trial",
    "Tuned",
    "Tuning",
    "adopt_trials",
    "choose_settings",
    "make_tuning",
    "tried_settings",
    "write_trials",
]

FOLDER = "tuning"
SECTION = "validation"
ENCODER = "encoder.pt"
"""What a run of pretraining leaves for the others."""


class Trial(NamedTuple):
    """What one candidate came to."""

    share: float
    method: str
    settings: Mapping[str, str]
    value: float
    """Measure of the validation images; nan when the run failed."""
    error: str
    chosen: bool


class Tuning(NamedTuple):
    """Runs from which the settings of each method are chosen."""

    plan: Plan
    """Of a method for each candidate, with one seed."""
    candidates: dict[str, list[Method]]
    """By name of the method that they are of."""
    measure: str


class Tuned(NamedTuple):
    """Tuning that has ended."""

    tuning: Tuning
    failures: Mapping[Path, str]
    """What went wrong, by folder of the stage."""
    chosen: dict[tuple[str, float], TunedSettings]
    """By method and label budget."""
    trials: list[Trial]


def make_tuning(options: ComparisonOptions) -> Tuning:
    """What is to be run before the settings of the methods can be chosen: every candidate with the first seed, graded
    at every label budget.

    Raises:
        InputError: see :func:`monai_semise.apps.compare.plan.make_plan` and
            :func:`monai_semise.apps.compare.tuning_grid.tuning_grid`.
    """
    options, available = give_own_settings(options, find_methods(options.bundles))
    methods = choose_methods(options.methods, available)
    if options.alphas and ALPHA not in [method.name for method in methods]:
        raise InputError(f"alphas: with --tune they take the settings chosen for {ALPHA}; name it with --methods")
    grid = tuning_grid(options.tune, methods)
    given = [text.partition("=")[0].strip().removeprefix("pretrain/").replace("#", "::") for text in options.settings]
    candidates: dict[str, list[Method]] = {}
    for method in methods:
        for settings in grid[method.name]:
            for name in settings.keys() & {*given, *method.settings}:
                raise InputError(f"tune: {name} is also given with --set; give it once")
            check_own_settings(options, method, settings, "tune")
        candidates[method.name] = [
            method._replace(name=f"{method.name}-{number}", settings={**method.settings, **settings})
            for number, settings in enumerate(grid[method.name])
        ]
    own_options = dataclasses.replace(
        options, out=options.out / FOLDER, n_seeds=1, segmentation=False, alphas=(), beside=(), tune=()
    )
    plan = plan_methods(own_options, [trial for own in candidates.values() for trial in own], [], [], {})
    plan = plan._replace(settings_apart=settings_apart(methods, methods, plan.settings["pretrain"]))
    return Tuning(plan, candidates, options.tune_by)


def choose_settings(tuning: Tuning, failures: Mapping[Path, str]) -> Tuned:
    """Take the candidate of each method and label budget that grades the validation images best; of equals the first.

    Args:
        tuning: whose runs have ended.
        failures: what went wrong, by folder of the stage; of what finished and cannot be read, this finds out itself.
    """
    failures = {**failures, **unreadable_results(tuning.plan.stages, failures)}
    measure = MEASURES[tuning.measure]
    graded = [stage for stage in tuning.plan.stages if stage.kind == "classification"]
    by_run = {(stage.method, stage.share): stage for stage in graded}
    y = torch.tensor([item["severity"] for item in tuning.plan.validation])
    once = torch.ones(len(y), dtype=torch.float64)

    def value(stage: Stage) -> float:
        if state_of(stage) != "finished" or stage.folder in failures:
            return float("nan")
        prediction = read_predictions(stage.folder, SECTION)
        return float(measure.function(getattr(prediction, measure.part), y, once))

    chosen: dict[tuple[str, float], TunedSettings] = {}
    trials: list[Trial] = []
    for method, candidates in tuning.candidates.items():
        for share in dict.fromkeys(budget.share for budget in tuning.plan.budgets):
            stages = [by_run[candidate.name, share] for candidate in candidates]
            values = [value(stage) for stage in stages]
            errors = [failures.get(stage.folder, "") for stage in stages]
            known = [n for n, own in enumerate(values) if own == own]
            best = max(known, key=lambda n: values[n] if measure.higher_is_better else -values[n], default=None)
            if best is None:
                reason = next(filter(None, errors), f"no candidate has a {tuning.measure}")
                chosen[method, share] = TunedSettings({}, f"tuning: {reason}")
            else:
                chosen[method, share] = TunedSettings(candidates[best].settings)
            trials += [
                Trial(share, method, candidate.settings, values[n], errors[n], n == best)
                for n, candidate in enumerate(candidates)
            ]
    return Tuned(tuning, failures, chosen, trials)


def adopt_trials(stages: Sequence[Stage], tuned: Tuned) -> None:
    """Take over what candidates have already done of a comparison: runs of the settings chosen, with the first seed.

    A run is taken as a whole, and only where nothing of it has finished yet: its classifier stands on its own encoder.

    Args:
        stages: of the comparison with the settings chosen.
        tuned: tuning that has ended.
    """
    done: dict[tuple[str, str], Path] = {}
    for trial in runs_of(tuned.tuning.plan.stages):
        whole = all(stage.folder not in tuned.failures and state_of(stage) == "finished" for stage in trial)
        if whole and (trial[0].folder / ENCODER).is_file():
            done |= {(stage.kind, stage.digest): stage.folder for stage in trial}
    for run in runs_of(stages):
        if any(state_of(stage) == "finished" for stage in run):
            continue
        for stage in run:
            folder = done.get((stage.kind, stage.digest))
            if folder is not None:
                logging.getLogger("monai_semise").info(f"{stage.folder}: copied from {folder}, which is the same run")
                adopt_run(stage, folder)


def tried_settings(tuning: Tuning) -> str:
    """What every method tried, in a sentence."""
    groups: dict[str, list[str]] = {}
    for method, candidates in tuning.candidates.items():
        tried = "; ".join(settings_as_text(candidate.settings) for candidate in candidates)
        groups.setdefault(tried, []).append(method)
    each = list(groups) if len(groups) == 1 else [f"{tried} ({', '.join(own)})" for tried, own in groups.items()]
    n_candidates = len(next(iter(tuning.candidates.values())))
    n_images = len(tuning.plan.validation)
    return (
        f"Tuning: every method tried {n_candidates} candidates at each label budget, with seed 0: {'. '.join(each)}. "
        f"The one with the best {tuning.measure} of the {n_images} graded validation images was taken. Test images "
        "took no part."
    )


def write_trials(trials: Sequence[Trial], measure: str, path: Path) -> None:
    """Write what every candidate came to, as CSV."""
    with write_whole(path) as stream:
        writer = csv.writer(stream)
        writer.writerow(("labelled", "method", "settings", f"validation_{measure}", "chosen", "error"))
        for trial in trials:
            value = "" if trial.value != trial.value else f"{trial.value:.6g}"
            writer.writerow(
                (
                    f"{trial.share:g}",
                    trial.method,
                    settings_as_text(trial.settings),
                    value,
                    int(trial.chosen),
                    trial.error,
                )
            )
