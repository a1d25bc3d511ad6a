# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from torch import Tensor

from monai_semise.losses.cosine import unit_vectors

__all__ = ["draw_embedding_panels"]

COLUMNS = 4


def draw_embedding_panels(
    embeddings: Mapping[str, Tensor], severity: Tensor, grade_names: Sequence[str], title: str
) -> Figure:
    """The two principal components of unit vectors, a panel for each method, colored by grade.

    Args:
        embeddings: of the same N images, shape (N, D), by method.
        severity: grades of shape (N,).
        grade_names: name of each grade, from 0.
        title: what the images are.
    """
    n_columns = min(COLUMNS, len(embeddings))
    n_lines = -(-len(embeddings) // n_columns)
    figure = Figure(figsize=(max(4.5, 3 * n_columns), 3 * n_lines + 1), layout="constrained")
    every = figure.subplots(n_lines, n_columns, squeeze=False).ravel()
    grades = sorted(set(severity.tolist()))
    colors = colormaps["viridis"](np.linspace(0, 0.95, max(2, len(grades))))
    for axes, (name, vectors) in zip(every, embeddings.items()):
        fit = PCA(2, random_state=0)
        plane = fit.fit_transform(unit_vectors(vectors.double()).numpy())
        for color, grade in zip(colors, grades):
            chosen = (severity == grade).numpy()
            label = grade_names[grade] if grade < len(grade_names) else str(grade)
            axes.scatter(*plane[chosen].T, color=color, s=9, alpha=0.8, linewidths=0, label=label)
        shares = np.nan_to_num(fit.explained_variance_ratio_)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel(f"{shares[0]:.0%} and {shares[1]:.0%} of variance", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    for axes in every[len(embeddings) :]:
        axes.set_axis_off()
    figure.suptitle(title, fontsize=11)
    keys, labels = every[0].get_legend_handles_labels()
    figure.legend(keys, labels, loc="outside lower center", ncols=min(8, len(grades)), fontsize=8, frameon=False)
    return figure
