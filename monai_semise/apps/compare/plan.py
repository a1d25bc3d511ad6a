# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from monai_semise.apps.compare.data_digest import data_digest, file_states
from monai_semise.apps.compare.label_budget import reduce_labels
from monai_semise.apps.compare.method_settings import (
    give_own_settings,
    pretrain_files,
    settings_apart,
    settings_reaching,
)
from monai_semise.apps.compare.methods import ALPHA, Method, alpha_methods, choose_methods, find_methods
from monai_semise.apps.compare.options import ComparisonOptions
from monai_semise.apps.compare.stage import Stage
from monai_semise.apps.compare.stage_configs import STAGES, config_digest, read_stage_config, settings_of_stages
from monai_semise.apps.compare.training_budget import PHASE_2, TrainingBudget, share_epochs
from monai_semise.data import graded_items, load_datalist
from monai_semise.data.datalist import grade_names, read_names
from monai_semise.losses import balanced_grade_weights
from monai_semise.utils import InputError, find_semise_error

__all__ = ["LabelBudget", "Plan", "TunedSettings", "make_plan", "plan_methods"]

EPOCHS = f"{PHASE_2}::trainer::max_epochs"
COMPARISONS = "pairs_file"
NAMES = ("grades", "structures")
"""What a datalist says beside its sections."""


class LabelBudget(NamedTuple):
    """What the runs of one share and seed learn from."""

    share: float
    seed: int
    path: Path
    """Datalist to write."""
    content: dict[str, Any]


class TunedSettings(NamedTuple):
    """What tuning chose for a method at a label budget."""

    settings: Mapping[str, str] = {}
    """Of the pretraining bundle."""
    problem: str = ""
    """Why nothing could be chosen; empty when something was."""


class Plan(NamedTuple):
    """All that a comparison does."""

    methods: list[Method]
    """To run, in this order."""
    not_run: list[Method]
    """Known, but not asked for."""
    alpha_methods: list[Method]
    budgets: list[LabelBudget]
    stages: list[Stage]
    """In the order in which a run needs them."""
    images_seen: dict[str, list[int]]
    """In pretraining, by method: fewest and most of all runs."""
    optimizer_steps: dict[str, list[int]]
    """Likewise."""
    validation: list[dict[str, Any]]
    """Graded validation images."""
    test: list[dict[str, Any]]
    """Graded test images."""
    configs: dict[str, tuple[Path, ...]]
    """Files of each kind of stage, without a method."""
    settings: dict[str, dict[str, str]]
    """Passed on to each kind of stage."""
    grade_names: list[str]
    data_set: str
    """What to call it."""
    settings_apart: Sequence[str] = ()
    """What the settings given make different between methods, a sentence each."""


def make_plan(options: ComparisonOptions, tuned: Mapping[tuple[str, float], TunedSettings] = {}) -> Plan:
    """Everything that is to be run, with the exact settings.

    Args:
        options: of the comparison.
        tuned: settings of each method at each label budget that tuning chose.

    Raises:
        InputError: when an option, the datalist or a config cannot be used. What is wrong with one method alone only
            keeps its runs from starting, see :attr:`monai_semise.apps.compare.stage.Stage.problem`.
    """
    options, available = give_own_settings(options, find_methods(options.bundles))
    methods = choose_methods(options.methods, available)
    alphas = alpha_methods(options.alphas, available)
    base = {(method.name, share): tuned[ALPHA, share] for method in alphas for share in options.shares if tuned}
    not_run = [method for method in available if method not in methods]
    plan = plan_methods(options, methods, not_run, alphas, {**tuned, **base})
    return plan._replace(settings_apart=settings_apart(available, [*methods, *alphas], plan.settings["pretrain"]))


def plan_methods(
    options: ComparisonOptions,
    methods: list[Method],
    not_run: list[Method],
    alphas: list[Method],
    tuned: Mapping[tuple[str, float], TunedSettings],
) -> Plan:
    """The plan of given methods; see :func:`make_plan`."""
    datalist = load_datalist(options.datalist, required=("training", "validation", "test"))
    graded = graded_items({name: datalist[name] for name in ("training", "validation", "test")})
    _check_grades(options.datalist, graded)
    kinds = list(STAGES)
    if not options.segmentation or not _has_masks(datalist):
        kinds.remove("segmentation")
    files: dict[str, tuple[Path, ...]] = {kind: (options.bundles / STAGES[kind], *options.overlays) for kind in STAGES}
    for kind in kinds:
        read_stage_config(files[kind])
    settings = settings_of_stages(options.settings, files)
    budgets = [_label_budget(options, datalist, share, seed) for share in options.shares for seed in _seeds(options)]
    stages: list[Stage] = []
    images_seen: dict[str, list[int]] = {}
    optimizer_steps: dict[str, list[int]] = {}
    digests = {kind: {"configs": config_digest(files[kind])} for kind in kinds}
    states = file_states(datalist)
    data = [data_digest(budget.content, states) for budget in budgets]
    for method in (*methods, *alphas):
        own_files = pretrain_files(options, method)
        configs = "" if method.problem else config_digest(own_files)
        common = settings_reaching(method, settings["pretrain"])
        spent: list[TrainingBudget] = []
        for budget, own_data in zip(budgets, data):
            choice = tuned.get((method.name, budget.share), TunedSettings())
            own_settings = {**common, **choice.settings, **method.settings}
            epochs, problem = _share_epochs(own_files, own_settings, budget, options.epochs)
            if epochs is not None:
                spent.append(epochs)
            stages += _run_stages(
                options,
                method,
                budget,
                {**files, "pretrain": own_files},
                {**settings, "pretrain": {**own_settings, **({} if epochs is None else _as_text(epochs.epochs))}},
                {**digests, "pretrain": {"configs": configs, "data": own_data}},
                [kind for kind in kinds if kind != "segmentation" or method in methods],
                method.problem or choice.problem or problem,
            )
        images_seen[method.name] = _ends([own.images for own in spent])
        optimizer_steps[method.name] = _ends([own.steps for own in spent])
    names = read_names(options.datalist, "grades")
    n_grades = 1 + max(item["severity"] for name in datalist for item in datalist[name])
    return Plan(
        methods,
        not_run,
        alphas,
        budgets,
        stages,
        images_seen,
        optimizer_steps,
        graded["validation"],
        graded["test"],
        files,
        settings,
        [str(grade) for grade in range(n_grades)] if names is None else names,
        str(json.loads(options.datalist.read_text(encoding="utf-8")).get("name") or options.datalist.stem),
    )


def _run_stages(
    options: ComparisonOptions,
    method: Method,
    budget: LabelBudget,
    files: Mapping[str, tuple[Path, ...]],
    settings: Mapping[str, Mapping[str, str]],
    digests: Mapping[str, Mapping[str, str]],
    kinds: Sequence[str],
    problem: str,
) -> list[Stage]:
    """The stages of one run."""
    root = options.out / "runs" / method.name / f"{budget.share:g}" / str(budget.seed)
    epochs = {
        "pretrain": None,  # shared between its phases
        "classification": options.classification_epochs,
        "segmentation": options.segmentation_epochs,
    }
    stages: list[Stage] = []
    for kind in kinds:
        own = {} if kind == "pretrain" else {"encoder": str(root / "pretrain" / "encoder.pt")}
        chosen = epochs[kind]
        given = {
            "datalist": str(budget.path),
            "output_dir": str(root / kind),
            "seed": str(budget.seed),
            "select": "last",  # for every method: nothing is chosen on validation images
            **own,
            **({} if chosen is None else {EPOCHS: str(chosen)}),
            **settings[kind],
        }
        made_of = {**digests[kind], **({"pretraining": stages[0].digest} if stages else {})}
        stages.append(
            Stage(kind, method.name, budget.share, budget.seed, root / kind, files[kind], given, made_of, problem)
        )
    return stages


def _share_epochs(
    files: Sequence[Path], settings: Mapping[str, str], budget: LabelBudget, epochs: int
) -> tuple[TrainingBudget | None, str]:
    """How long a method trains, or why it cannot."""
    items = [*budget.content["training"], *budget.content["unlabelled"]]
    try:
        config = read_stage_config(files, settings)
        if config.get(COMPARISONS) is not None:
            raise InputError(
                f"{COMPARISONS}: a label budget hides grades, not comparisons of images, so that methods which learn "
                "from them cannot be compared; leave it out"
            )
        return share_epochs(config, items, epochs), ""
    except Exception as error:  # one bad method must not keep the others from running
        reason = find_semise_error(error) or error
        return None, (str(reason).strip().splitlines() or [type(error).__name__])[-1]


def _label_budget(
    options: ComparisonOptions, datalist: Mapping[str, Sequence[Mapping[str, Any]]], share: float, seed: int
) -> LabelBudget:
    path = options.out / "datalists" / f"{share:g}" / f"{seed}.json"
    root = options.datalist.absolute().parent
    names = {field: read_names(options.datalist, field) for field in NAMES}
    header = {field: value for field, value in names.items() if value is not None}
    return LabelBudget(share, seed, path, {**header, **reduce_labels(datalist, share, seed, root)})


def _check_grades(path: Path, graded: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Refuse what every run would stumble over, each after its pretraining.

    Raises:
        InputError: when training lacks a grade of the scale, validation has no two grades, or test has none or one that
            training lacks.
    """
    found = {name: sorted({item["severity"] for item in items}) for name, items in graded.items()}
    if not found["test"]:
        raise InputError(f"datalist {path}: no test image has a severity; the tables need some")
    if len(found["validation"]) < 2:
        having = f"severity {found['validation'][0]} only" if found["validation"] else "no severity"
        raise InputError(
            f"datalist {path}: validation images have {having}; training is validated by pairs of unlike grade, so "
            "give them two grades"
        )
    try:
        names = grade_names(path, graded["training"])
        balanced_grade_weights([item["severity"] for item in graded["training"]], len(names), names)
    except InputError as error:
        raise InputError(f"datalist {path}: {error}") from error
    for name in ("validation", "test"):
        unknown = sorted(set(found[name]) - set(found["training"]))
        if unknown:
            raise InputError(
                f"datalist {path}: {name} images have severity {', '.join(map(str, unknown))}, which no training image "
                f"has ({', '.join(map(str, found['training']))}); grade training images so, or take those out"
            )


def _has_masks(datalist: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
    return all(any("mask" in item for item in datalist[name]) for name in ("training", "validation", "test"))


def _seeds(options: ComparisonOptions) -> range:
    return range(options.n_seeds)


def _ends(numbers: Sequence[int]) -> list[int]:
    """The smallest and the largest."""
    return [min(numbers), max(numbers)] if numbers else []


def _as_text(settings: Mapping[str, int]) -> dict[str, str]:
    return {name: str(value) for name, value in settings.items()}
