# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Counts and means in which an image can stand more than once: what a resample of the data set is.

Every metric of this folder takes ``weight``, how often each image counts, and returns the value that it has on the data
set in which the images are repeated as often. A weight of shape (N, R) stands for R data sets at once, so that the
bootstrap needs no loop.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["image_mean", "image_weight", "known_mean", "mean_over_occurring", "weighted_counts"]


def image_weight(weight: Tensor | None, y: Tensor) -> Tensor:
    """``weight`` in float64, by default 1 for every image of ``y``."""
    return torch.ones(len(y), dtype=torch.float64, device=y.device) if weight is None else weight.double()


def image_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over images, such as of the Dice scores that :class:`monai.metrics.DiceMetric` gives for each.

    Args:
        values: value of each image, shape (N,).
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar, or shape (R,), float64; nan when a value is nan or no image counts.

    Example:
        >>> import torch
        >>> image_mean(torch.tensor([0.0, 1.0]), torch.tensor([[1, 1], [1, 3]]))
        tensor([0.5000, 0.7500], dtype=torch.float64)
    """
    weight = image_weight(weight, values)
    return (values.double() @ weight) / weight.sum(0)


def known_mean(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """:func:`image_mean` over the images that have a value, such as the Dice of those that show the structure.

    Args:
        values: value of each image, nan where it has none, shape (N,).
        weight: see :func:`image_mean`.

    Returns:
        scalar, or shape (R,), float64; nan when no image that counts has a value.

    Example:
        >>> import torch
        >>> known_mean(torch.tensor([0.5, torch.nan, 1.0]))
        tensor(0.7500, dtype=torch.float64)
    """
    known = ~values.isnan()
    return image_mean(values[known], None if weight is None else weight[known])


def weighted_counts(places: Tensor, n_places: int, weight: Tensor) -> Tensor:
    """How many images are at each place.

    Args:
        places: place of each image, integers from 0 to ``n_places`` - 1, shape (N,).
        n_places: number of places M.
        weight: shape (N,) or (N, R).

    Returns:
        shape (M,) or (M, R).
    """
    return weight.new_zeros((n_places, *weight.shape[1:])).index_add_(0, places, weight)


def mean_over_occurring(totals: Tensor, counts: Tensor) -> Tensor:
    """Unweighted mean of ``totals / counts`` over the grades whose count is above 0.

    Args:
        totals: sum over the images of each grade, shape (K,) or (K, R).
        counts: how many images those are, same shape.

    Returns:
        scalar, or shape (R,).
    """
    occurs = counts > 0
    return (totals / counts.where(occurs, 1.0)).where(occurs, 0.0).sum(0) / occurs.sum(0)
