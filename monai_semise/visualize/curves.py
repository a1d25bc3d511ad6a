# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from monai_semise.visualize.figure import save_figure

__all__ = ["plot_curves"]

NOT_A_CURVE = ("phase", "epoch", "loss", "images_per_second", "training_seconds", "seconds")


def plot_curves(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike) -> None:
    """Draw loss terms and validation metrics over the epochs of a run, a panel each.

    Args:
        rows: rows of :func:`monai_semise.handlers.read_training_log`; phases follow one another on the axis.
        path: PNG file to write.
    """
    phases = list(dict.fromkeys(row["phase"] for row in rows))
    start = {phase: sum(row["phase"] in phases[:n] for row in rows) for n, phase in enumerate(phases)}
    names = [name for name in dict.fromkeys(k for row in rows for k in row) if name not in NOT_A_CURVE] or ["loss"]
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.9 * lines), layout="constrained")
    for panel, name in enumerate(names, start=1):
        axes = figure.add_subplot(lines, columns, panel)
        for n, phase in enumerate(phases):
            points = [(start[phase] + r["epoch"], r[name]) for r in rows if r["phase"] == phase and name in r]
            if points:
                axes.plot(*zip(*points), marker="o", markersize=3, color=f"C{n}", label=phase)
        axes.set_title(name.replace("_", " "), fontsize=10)
        axes.set_xlim(0.5, len(rows) + 0.5)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, title="phase", title_fontsize=8)
        axes.set_xlabel("epoch, all phases", fontsize=8)
        axes.tick_params(labelsize=8)
    save_figure(figure, path)
