# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from monai_semise.losses import cosine_distance
from monai_semise.losses.cosine import unit_vectors
from monai_semise.visualize.figure import save_figure

__all__ = ["plot_embedding"]


def plot_embedding(
    embeddings: Tensor,
    severity: Tensor,
    reference: Tensor,
    path: str | os.PathLike,
    grade_names: Sequence[str] | None = None,
    title: str = "",
) -> None:
    """Draw embeddings in two dimensions, coloured by grade, beside the severity score of each grade.

    Left, the two principal components of the unit vectors, the healthy reference marked. Right, the distances from the
    reference, a point an image.

    Args:
        embeddings: preference embeddings of shape (N, D).
        severity: grades of shape (N,), negative when ungraded (drawn grey, left only).
        reference: healthy reference of shape (D,).
        path: PNG file to write.
        grade_names: name of each grade, from 0.
        title: what the images are.
    """
    points = unit_vectors(torch.cat([embeddings, reference[None]]).float())
    centred = points - points[:-1].mean(dim=0)
    _, singular, directions = torch.linalg.svd(centred[:-1], full_matrices=False)
    n_missing = max(0, 2 - len(directions))  # one dimension (two ordinal grades) or one image span no plane
    plane = F.pad(centred @ directions[:2].T, (0, n_missing)).numpy()
    share = [*(singular[:2] ** 2 / (singular**2).sum().clamp_min(1e-12)).tolist(), *[0.0] * n_missing]
    score = cosine_distance(embeddings.float(), reference.float()).numpy()
    grades = sorted(set(severity[severity >= 0].tolist()))
    colours = colormaps["viridis"](np.linspace(0, 0.95, max(2, len(grades))))

    figure = Figure(figsize=(11, 4.9), layout="constrained")
    scatter, strip = figure.subplots(1, 2, width_ratios=[1.25, 1])
    ungraded = (severity < 0).numpy()
    if ungraded.any():
        scatter.scatter(*plane[:-1][ungraded].T, color="0.75", s=12, label="ungraded")
    jitter = np.random.default_rng(0)
    for colour, grade in zip(colours, grades):
        chosen = (severity == grade).numpy()
        named = f"{grade} {grade_names[grade]}" if grade_names and grade < len(grade_names) else str(grade)
        scatter.scatter(*plane[:-1][chosen].T, color=colour, s=16, label=named, alpha=0.85, linewidths=0)
        x = grade + jitter.uniform(-0.22, 0.22, size=int(chosen.sum()))
        strip.scatter(x, score[chosen], color=colour, s=14, alpha=0.8, linewidths=0)
        strip.hlines(np.median(score[chosen]), grade - 0.32, grade + 0.32, color="black", linewidth=1.5)
    scatter.scatter(*plane[-1], marker="*", s=220, color="crimson", edgecolor="white", label="healthy reference")
    scatter.set_xlabel(f"principal component 1 ({share[0]:.0%} of variance)")
    scatter.set_ylabel(f"principal component 2 ({share[1]:.0%})")
    scatter.set_title(f"Embedding, {title}" if title else "Embedding")
    strip.set_xticks(grades)
    strip.set_xlabel("severity (grade)")
    strip.set_ylabel("severity score (cosine distance to healthy)")
    strip.set_title("Score by grade, median marked")
    strip.grid(axis="y", alpha=0.3)
    # outside, so that it hides no image
    figure.legend(loc="outside lower center", ncols=8, fontsize=8, title="severity", title_fontsize=8, frameon=False)
    save_figure(figure, path)
