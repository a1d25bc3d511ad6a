# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from monai_semise.visualize.figure import save_figure

__all__ = ["draw_confusion", "plot_confusion"]


def plot_confusion(
    y_pred: Tensor, y: Tensor, path: str | os.PathLike, grade_names: Sequence[str], title: str = ""
) -> None:
    """Draw the confusion matrix: counts in the cells, colour by the share of the true grade.

    Args:
        y_pred: predicted grades, integers of shape (N,).
        y: true grades, integers of shape (N,).
        path: PNG file to write.
        grade_names: name of each grade, from 0.
        title: above the picture.
    """
    size = 2.4 + 0.75 * len(grade_names)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.add_subplot()
    draw_confusion(figure, axes, y_pred.cpu().numpy(), y.cpu().numpy(), grade_names)
    axes.set_title(title)
    save_figure(figure, path)


def draw_confusion(
    figure: Figure, axes: Axes, grade: np.ndarray, truth: np.ndarray, grade_names: Sequence[str]
) -> None:
    """Draw the matrix into given axes; see :func:`plot_confusion`."""
    n = len(grade_names)
    counts = np.bincount(truth * n + grade, minlength=n * n).reshape(n, n)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for true, predicted in np.ndindex(n, n):
        color = "white" if share[true, predicted] > 0.5 else "black"
        axes.text(predicted, true, str(counts[true, predicted]), ha="center", va="center", color=color)
    axes.set_xticks(range(n), grade_names, rotation=30, ha="right")
    axes.set_yticks(range(n), grade_names)
    axes.set_xlabel("predicted grade")
    axes.set_ylabel("true grade")
    figure.colorbar(picture, ax=axes, label="share of the true grade", shrink=0.8)
