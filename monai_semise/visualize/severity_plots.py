# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from monai_semise.visualize.confusion import draw_confusion
from monai_semise.visualize.figure import figure_png

__all__ = ["distribution_png", "reliability_png"]


def distribution_png(severity: np.ndarray, name: str) -> bytes:
    """Histogram of the severities of N images.

    Args:
        severity: shape (N,).
        name: what they are: "score" or "position".

    Returns:
        a PNG file.
    """
    figure = Figure(figsize=(6, 2.8), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(severity, bins=min(40, max(5, len(severity) // 4)), color="C0")
    axes.set_xlabel("severity: place on the grade scale" if name == "position" else "severity score")
    axes.set_ylabel("images")
    return figure_png(figure)


def reliability_png(position: np.ndarray, grade: np.ndarray, truth: np.ndarray, grade_names: Sequence[str]) -> bytes:
    """Confusion matrix, and beside it the mean true grade of images of like predicted severity.

    Args:
        position: predicted place on the grade scale, shape (N,).
        grade: predicted grade, shape (N,).
        truth: true grade, shape (N,).
        grade_names: name of each grade, from 0.

    Returns:
        a PNG file.
    """
    n = len(grade_names)
    figure = Figure(figsize=(2 * (2.4 + 0.75 * n) + 1, 2.4 + 0.75 * n), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_confusion(figure, left, grade, truth, grade_names)
    right.plot([0, n - 1], [0, n - 1], color="0.7", linewidth=1)
    for images in np.array_split(np.argsort(position, kind="stable"), min(10, max(1, len(position) // 5))):
        mean, error = truth[images].mean(), truth[images].std() / np.sqrt(len(images))
        right.errorbar(position[images].mean(), mean, yerr=error, marker="o", color="C0", capsize=2)
    right.set_xlabel("predicted place on the grade scale, tenths of the images")
    right.set_ylabel("mean true grade ± standard error")
    right.set_xlim(-0.2, n - 0.8)
    right.set_ylim(-0.2, n - 0.8)
    right.set_aspect("equal")
    return figure_png(figure)
