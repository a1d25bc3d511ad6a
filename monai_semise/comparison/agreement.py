# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from monai_semise.comparison.answer import Answer
from monai_semise.metrics import Interval, bootstrap_intervals

__all__ = ["Agreement", "rater_agreement"]

WORSE = {0.0: -1, 0.5: 0, 1.0: 1}


class Agreement(NamedTuple):
    """How often two judgements of a pair are the same.

    Example:
        >>> Agreement(pairs=40, same=Interval(0.9, 0.8, 0.98, 0.0), kappa=Interval(0.8, 0.6, 0.95, 0.0)).pairs
        40
    """

    pairs: int
    """Pairs that were judged twice."""
    same: Interval
    """Share of them with the same answer."""
    kappa: Interval
    """Cohen's kappa: the share beyond what chance would give; both images stand for either side."""


def rater_agreement(answers: Sequence[Answer]) -> dict[str, Any]:
    """How far raters agree with each other, and with themselves on repeated pairs.

    "Cannot tell" is left out. Of a rater's several answers on a pair, the first counts against other raters, and the
    first two against each other.

    Args:
        answers: of any raters.

    Returns:
        ``"between"``: a list of ``raters`` (two), ``pairs``, ``same`` and ``kappa``; ``"oneself"``: the same of one
        rater each. Each measure is its value with the ends of the 95 % interval over resampled pairs, None where there
        is none.

    Example:
        >>> def answer(n, outcome, rater):
        ...     return Answer(str(n), "a", "b", outcome, rater, "2026-01-31T09:00:00Z", 2.5)
        >>> found = rater_agreement([answer(1, "left", "x"), answer(2, "left", "y"), answer(3, "equal", "x")])
        >>> found["between"][0]["same"][0], found["oneself"][0]["same"][0]
        (1.0, 0.0)
    """
    by_rater: dict[str, dict[tuple[str, str], list[int]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        if answer.preference is not None:
            worse = WORSE[answer.preference]
            by_rater[answer.rater][answer.pair].append(worse if answer.image_a == answer.pair[0] else -worse)
    between = []
    for one, other in combinations(sorted(by_rater), 2):
        common = sorted(by_rater[one].keys() & by_rater[other].keys())
        if common:
            firsts = ([by_rater[rater][pair][0] for pair in common] for rater in (one, other))
            between.append(_entry([one, other], *firsts))
    oneself = []
    for rater in sorted(by_rater):
        twice = [judged for judged in by_rater[rater].values() if len(judged) > 1]
        if twice:
            oneself.append(_entry([rater], [judged[0] for judged in twice], [judged[1] for judged in twice]))
    return {"between": between, "oneself": oneself}


def agreement(first: Sequence[int], second: Sequence[int]) -> Agreement:
    """Agreement of two judgements each of n pairs: 1 the one image is worse, -1 the other, 0 equal.

    Example:
        >>> agreement([1, -1, 0, 1], [1, -1, 0, -1]).same.value
        0.75
    """
    one, other = torch.tensor(first), torch.tensor(second)
    measures = {"same": partial(_same, one, other), "kappa": partial(_kappa, one, other)}
    return Agreement(len(first), **bootstrap_intervals(measures, range(len(first))))


def _entry(raters: list[str], first: Sequence[int], second: Sequence[int]) -> dict[str, Any]:
    found = agreement(first, second)
    measures = {name: [_plain(value) for value in getattr(found, name)[:3]] for name in ("same", "kappa")}
    return {"raters": raters, "pairs": found.pairs, **measures}


def _plain(value: float) -> float | None:
    return None if value != value else value


def _same(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    return (first == second).double() @ weight / weight.sum(0)


def _kappa(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Cohen's kappa of the pairs and of their mirror images, so that it does not matter which image comes first."""
    total = weight.sum(0)
    equal = [(judged == 0).double() @ weight / total for judged in (first, second)]
    expected = equal[0] * equal[1] + (1 - equal[0]) * (1 - equal[1]) / 2
    return (_same(first, second, weight) - expected) / (1 - expected)
