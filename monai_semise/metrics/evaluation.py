# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from monai_semise.metrics.baselines import constant_majority, constant_warnings, is_constant, stratified_random
from monai_semise.metrics.bootstrap import Interval, bootstrap_intervals, few_groups_warnings, group_numbers
from monai_semise.metrics.measures import MEASURES
from monai_semise.metrics.prediction import GradePrediction
from monai_semise.utils import InputError

__all__ = ["BASELINES", "Evaluation", "evaluate_predictions"]

BASELINES = ("constant-majority", "stratified-random")
"""Names of the rows that every evaluation ends with."""


class Evaluation(NamedTuple):
    """Measures of some predictors and, always, of the two baselines on the same images.

    Example:
        >>> Evaluation(rows={}, warnings=["model: all 9 images get grade 0"], n_images=9, n_groups=3).n_groups
        3
    """

    rows: dict[str, dict[str, Interval]]
    """Predictor, then metric (a key of :data:`monai_semise.metrics.MEASURES`), then its interval."""
    warnings: list[str]
    """What must be said beside the rows, a sentence each: which predictors, other than the baselines, are constant or
    not shown to do better than chance, and that patients are too few."""
    n_images: int
    n_groups: int
    """Number of patients."""


def evaluate_predictions(
    y: Tensor,
    predictions: Mapping[str, GradePrediction],
    training_grades: Tensor,
    groups: Sequence[Hashable] | Tensor,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Every metric of one or several predictors with its interval, beside those of predictors that never look.

    Metrics of probabilities are there when any predictor gives probabilities, those of scores when any gives a score.

    Args:
        y: true grades, integers of at least 0, shape (N,).
        predictions: predictions for the same images, by the name of the predictor.
        training_grades: grades of the training images, which the baselines are made from; negative ones (ungraded) are
            left out. Without any, there are no baselines, and a warning says so.
        groups: patient of each image, see :func:`monai_semise.metrics.bootstrap_intervals`.
        n_resamples: number of resamples.
        confidence: of the intervals, between 0 and 1.
        seed: of the resamples and of the random baseline.

    Returns:
        a row for each predictor and for the two of :data:`BASELINES`.

    Raises:
        InputError: without an image, when lengths differ, when a true grade is negative, or when a
            predictor has the name of a baseline.

    Example:
        >>> import torch
        >>> y = torch.tensor([0, 0, 0, 1, 1, 2])
        >>> table = evaluate_predictions(y, {"model": GradePrediction(y)}, training_grades=y, groups=range(6))
        >>> {name: round(row["macro_recall"].value, 2) for name, row in table.rows.items()}
        {'model': 1.0, 'constant-majority': 0.33, 'stratified-random': 0.11}
    """
    y, training_grades = y.cpu(), training_grades.cpu()
    _check(y, predictions, groups)
    n_grades = 1 + int(torch.cat([y, training_grades]).max())
    given = {part for part in GradePrediction._fields for p in predictions.values() if getattr(p, part) is not None}
    known = bool((training_grades >= 0).any())
    every = {**predictions, **(_baselines(training_grades, len(y), n_grades, seed) if known else {})}
    rows = {}
    for name, prediction in every.items():
        metrics = {
            metric: partial(measure.function, getattr(prediction, measure.part).cpu(), y)
            for metric, measure in MEASURES.items()
            if measure.part in given and getattr(prediction, measure.part) is not None
        }
        rows[name] = bootstrap_intervals(metrics, groups, n_resamples, confidence, seed)
    warnings = [
        sentence
        for name, prediction in predictions.items()
        for sentence in (*constant_warnings(name, prediction), *_chance_warnings(name, prediction, rows[name], y))
    ]
    if not known:
        warnings.append("no training image is graded, so that no predictor that never looks stands beside the model")
    n_groups = int(group_numbers(groups).max()) + 1
    return Evaluation(rows, warnings + few_groups_warnings(n_groups), len(y), n_groups)


def _baselines(training_grades: Tensor, n_images: int, n_grades: int, seed: int) -> dict[str, GradePrediction]:
    constant, random = BASELINES
    return {
        constant: constant_majority(training_grades, n_images, n_grades),
        random: stratified_random(training_grades, n_images, n_grades, seed),
    }


def _check(y: Tensor, predictions: Mapping[str, GradePrediction], groups: Sequence[Hashable] | Tensor) -> None:
    if not len(y):
        raise InputError("evaluation: no image to measure; give at least one with a grade")
    if len(y) != len(groups):
        raise InputError(f"evaluation: {len(y)} true grades and {len(groups)} groups; give one group an image")
    if (y < 0).any():
        n = int((y < 0).nonzero()[0])
        raise InputError(f"evaluation: image {n} has the true grade {y[n].item()}; leave ungraded images out")
    for name, prediction in predictions.items():
        if name in BASELINES:
            raise InputError(f'evaluation: "{name}" is the name of a baseline; call the predictor something else')
        for field, part in prediction._asdict().items():
            if part is not None and len(part) != len(y):
                raise InputError(f"evaluation: {name} has {len(part)} rows of {field} for {len(y)} images")


def _chance_warnings(name: str, prediction: GradePrediction, row: Mapping[str, Interval], y: Tensor) -> list[str]:
    """What is not shown to be better than a predictor that never looks, unless it is constant anyway."""
    n_grades = len(torch.unique(y))
    found = []
    if not is_constant(prediction.grade) and not row["macro_recall"].low > 1 / n_grades:
        found.append(
            f"macro recall {_text(row['macro_recall'])} is not shown to lie above 1/{n_grades} = {1 / n_grades:.3f}, "
            "what a predictor has that never looks at the image"
        )
    if prediction.score is not None and not is_constant(prediction.score) and not row["c_index"].low > 0.5:
        found.append(f"C-index {_text(row['c_index'])} is not shown to lie above 0.5, what a random order has")
    return [f"{name}: {what}" for what in found]


def _text(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
