# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib import colormaps
from matplotlib.figure import Figure

__all__ = ["IntervalLine", "draw_interval_lines"]

MARKERS = "osD^vP*X"


class IntervalLine(NamedTuple):
    """Points with intervals.

    Example:
        >>> IntervalLine([0.1, 1.0], [0.5, 0.7], [0.4, 0.6], [0.6, 0.8]).y
        [0.5, 0.7]
    """

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    """nan where there is no interval."""
    high: Sequence[float]


def draw_interval_lines(
    panels: Mapping[str, Mapping[str, IntervalLine]], xlabel: str, title: str, ticks: Sequence[float], log: bool = False
) -> Figure:
    """A panel for each measure, in it a line for each method with its intervals, and one legend for all.

    Args:
        panels: lines by name, by the name of the measure.
        xlabel: what lies along x.
        title: of the figure.
        ticks: places along x to name.
        log: whether x is logarithmic.
    """
    n_columns = min(2, len(panels))
    n_lines = -(-len(panels) // n_columns)
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    colors = colormaps["tab10" if len(names) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    figure = Figure(figsize=(0.8 + 4.4 * n_columns, 1 + 3.1 * n_lines + 0.2 * len(names) / 4), layout="constrained")
    every = figure.subplots(n_lines, n_columns, squeeze=False).ravel()
    for axes, (measure, lines) in zip(every, panels.items()):
        for name, (x, y, low, high) in lines.items():
            n = names.index(name)
            # side by side, so that intervals do not hide each other
            aside = (n - (len(names) - 1) / 2) * 0.02 / max(1, len(names) / 8)
            place = [value * (1 + aside) if log else value + aside * (max(ticks) - min(ticks) or 1) / 2 for value in x]
            below, above = ([abs(a - b) for a, b in zip(y, end)] for end in (low, high))
            axes.errorbar(
                place,
                y,
                yerr=[below, above],
                color=colors[n % len(colors)],
                marker=MARKERS[n % len(MARKERS)],
                markersize=4,
                linewidth=1.3,
                capsize=2,
                elinewidth=0.7,
                label=name,
            )
        if log:
            axes.set_xscale("log")
        axes.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(xlabel)
        axes.set_ylabel(measure)
        axes.grid(alpha=0.3)
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle(title, fontsize=11)
    keys, labels = every[0].get_legend_handles_labels()
    figure.legend(keys, labels, loc="outside lower center", ncols=min(4, max(1, len(names))), fontsize=8, frameon=False)
    return figure
