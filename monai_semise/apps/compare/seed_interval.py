# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = ["SeedInterval", "seed_interval"]


class SeedInterval(NamedTuple):
    """Mean over runs, and where the mean of many more would lie.

    Example:
        >>> SeedInterval(0.5, 0.4, 0.6, n_runs=5).high
        0.6
    """

    mean: float
    """nan when no run has a value."""
    low: float
    """nan with fewer than two runs."""
    high: float
    n_runs: int
    """That have a value."""


def seed_interval(values: Sequence[float], confidence: float = 0.95) -> SeedInterval:
    """Mean and Student's t interval of the same measure in runs with different seeds.

    Args:
        values: one a run; nan is left out.
        confidence: of the interval, between 0 and 1.

    Example:
        >>> interval = seed_interval([0.50, 0.54, 0.58])
        >>> print(f"{interval.mean:.2f} ({interval.low:.2f} to {interval.high:.2f})")
        0.54 (0.44 to 0.64)
    """
    known = np.array([value for value in values if not math.isnan(value)], dtype=np.float64)
    if len(known) < 2:
        return SeedInterval(float(known[0]) if len(known) else math.nan, math.nan, math.nan, len(known))
    mean = float(known.mean())
    half = float(stats.t.ppf((1 + confidence) / 2, len(known) - 1) * stats.sem(known))
    return SeedInterval(mean, mean - half, mean + half, len(known))
