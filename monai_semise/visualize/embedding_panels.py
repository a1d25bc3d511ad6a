# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from torch import Tensor

from monai_semise.losses.cosine import unit_vectors
from monai_semise.utils import InputError

__all__ = ["PrincipalPlane", "draw_embedding_panels", "principal_plane"]

COLUMNS = 4


class PrincipalPlane(NamedTuple):
    """Images in the plane in which they differ most."""

    points: np.ndarray
    """Shape (N, 2)."""
    shares: np.ndarray
    """Of the variance along each axis; 0 where all images are the same."""


def principal_plane(vectors: Tensor) -> PrincipalPlane:
    """The two principal components of unit vectors.

    Args:
        vectors: an image each, shape (N, D).

    Raises:
        InputError: when there is but one image.
    """
    if len(vectors) < 2:
        raise InputError("one image spans no plane; principal components need two or more")
    fit = PCA(2, random_state=0)
    points = fit.fit_transform(unit_vectors(vectors.double()).numpy())
    return PrincipalPlane(points, np.nan_to_num(fit.explained_variance_ratio_))


def draw_embedding_panels(
    planes: Mapping[str, PrincipalPlane], severity: Tensor, grade_names: Sequence[str], title: str
) -> Figure:
    """The two principal components of images, a panel for each method, colored by grade.

    Args:
        planes: of the same N images, by method, see :func:`principal_plane`.
        severity: grades of shape (N,).
        grade_names: name of each grade, from 0.
        title: what the images are.
    """
    n_columns = min(COLUMNS, len(planes))
    n_lines = -(-len(planes) // n_columns)
    width = max(4.5, 3 * n_columns)
    figure = Figure(figsize=(width, 3 * n_lines + 1), layout="constrained")
    every = figure.subplots(n_lines, n_columns, squeeze=False).ravel()
    grades = sorted(set(severity.tolist()))
    colors = colormaps["viridis"](np.linspace(0, 0.95, max(2, len(grades))))
    for axes, (name, plane) in zip(every, planes.items()):
        for color, grade in zip(colors, grades):
            chosen = (severity == grade).numpy()
            label = grade_names[grade] if grade < len(grade_names) else str(grade)
            axes.scatter(*plane.points[chosen].T, color=color, s=9, alpha=0.8, linewidths=0, label=label)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("{:.0%} and {:.0%} of variance".format(*plane.shares), fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    for axes in every[len(planes) :]:
        axes.set_axis_off()
    figure.suptitle(textwrap.fill(title, int(11 * width)), fontsize=11)
    keys, labels = every[0].get_legend_handles_labels()
    figure.legend(keys, labels, loc="outside lower center", ncols=min(8, len(grades)), fontsize=8, frameon=False)
    return figure
