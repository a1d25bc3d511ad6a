# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from monai_semise.metrics.bootstrap import group_numbers

__all__ = ["LEVEL", "Separability", "holm", "paired_p_value", "patient_weights", "separate_from_best"]


LEVEL = 0.05
"""Below it, a corrected p-value tells apart."""


class Separability(NamedTuple):
    """Which predictor is best, and which are not shown to be worse.

    Example:
        >>> Separability("a", {"b": 0.3, "c": 0.001}).tied()
        ['b']
    """

    best: str
    p_values: dict[str, float]
    """Of the difference of every other to the best, corrected for their number."""

    def tied(self, level: float = LEVEL) -> list[str]:
        """Those that the test does not tell apart from the best."""
        return [name for name, p_value in self.p_values.items() if p_value >= level]


def patient_weights(groups: Sequence[Hashable], n_resamples: int, seed: int = 0) -> Tensor:
    """How often each image counts in each resample, when as many patients as there are are drawn with replacement.

    Args:
        groups: patient of each image, length N.
        n_resamples: number of resamples R.
        seed: of the draws.

    Returns:
        shape (N, R), float64; (N, 0) for the images of a single patient, of whom nothing can be drawn.

    Example:
        >>> patient_weights(["anna", "anna", "ben"], 2, seed=1)
        tensor([[1., 2.],
                [1., 2.],
                [1., 0.]], dtype=torch.float64)
    """
    number = group_numbers(groups).numpy()
    n_groups = int(number.max()) + 1
    n_resamples = n_resamples if n_groups > 1 else 0
    times = np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=n_resamples)
    return torch.from_numpy(times.T[number].astype(np.float64))


def paired_p_value(differences: Tensor) -> float:
    """Two-sided p-value of a mean difference, from the same difference in resamples of the patients.

    Twice the smaller share of resamples on either side of zero, zero itself counting to both; one is added to both
    counts, since a p-value of zero cannot be known from a finite number.

    Args:
        differences: one a resample, shape (R,); nan is left out.

    Returns:
        in (0, 1]; 1 when nothing is left.

    Example:
        >>> import torch
        >>> round(paired_p_value(torch.linspace(0.1, 1.0, 999)), 4)
        0.002
    """
    known = differences[~differences.isnan()]
    below, above = (1 + int((side * known <= 0).sum()) for side in (1, -1))
    return min(1.0, 2 * min(below, above) / (len(known) + 1))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction (Scand. J. Statist. 6, 1979): the chance of any false finding stays below the level.

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    corrected: dict[str, float] = {}
    highest = 0.0
    for n, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda entry: entry[1])):
        highest = max(highest, min(1.0, (len(p_values) - n) * p_value))
        corrected[name] = highest
    return corrected


def separate_from_best(
    means: Mapping[str, float], resampled: Mapping[str, Tensor], higher_is_better: bool
) -> Separability | None:
    """The best predictor and what separates the others from it.

    Args:
        means: measure of each predictor, mean over its runs; nan where it is not defined.
        resampled: the same in each resample of the patients, shape (R,), the same resamples for all.
        higher_is_better: which way the measure goes.

    Returns:
        None when no predictor has the measure.

    Example:
        >>> import torch
        >>> values = {"a": torch.full((99,), 0.9), "b": torch.full((99,), 0.5)}
        >>> separate_from_best({"a": 0.9, "b": 0.5}, values, higher_is_better=True)
        Separability(best='a', p_values={'b': 0.02})
    """
    known = {name: mean for name, mean in means.items() if mean == mean}
    if not known:
        return None
    best = (max if higher_is_better else min)(known, key=lambda name: known[name])
    return Separability(
        best, holm({name: paired_p_value(resampled[best] - resampled[name]) for name in known if name != best})
    )
