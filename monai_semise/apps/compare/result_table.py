# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import NamedTuple

from monai_semise.apps.compare.seed_interval import SeedInterval

__all__ = ["Cell", "Column", "ResultTable", "Row"]


class Cell(NamedTuple):
    """A measure of a method at a label budget.

    Example:
        >>> Cell(SeedInterval(0.5, 0.4, 0.6, 5), "best").text()
        '0.500 ± 0.100'
        >>> Cell(SeedInterval(0.5, float("nan"), float("nan"), 1)).text()
        '0.500'
    """

    interval: SeedInterval
    mark: str = ""
    """``"best"``, ``"tied"`` when not separable from the best, or nothing."""
    values: tuple[float, ...] = ()
    """One a run."""
    p_value: float | None = None
    """Of the difference to the best, corrected."""

    def text(self) -> str:
        """Mean to show, and how far its interval reaches to either side."""
        mean, _, high, _ = self.interval
        if mean != mean:
            return "-"
        return f"{mean:.3f}" + ("" if high != high else f" ± {high - mean:.3f}")


class Column(NamedTuple):
    """A measure and which way is better."""

    name: str
    higher_is_better: bool


class Row(NamedTuple):
    """A method at a label budget."""

    share: float
    method: str
    cells: dict[str, Cell]
    """By name of the column; empty when the method has no result."""
    note: str = ""
    """``"not run"``, ``"failed: ..."``, or how many runs a mean is of."""


class ResultTable(NamedTuple):
    """A table of the comparison."""

    title: str
    columns: list[Column]
    rows: list[Row]
    foot: str
    """What the numbers are."""
