# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor

from monai_semise.metrics.counting import image_mean, image_weight, mean_over_occurring
from monai_semise.metrics.grade_metric import GradeMetric

__all__ = [
    "GradeMeanAbsoluteError",
    "MacroMeanAbsoluteError",
    "grade_mean_absolute_error",
    "macro_mean_absolute_error",
]


def grade_mean_absolute_error(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""MAE in grades: :math:`\frac{1}{N} \sum_n |y_n - \hat y_n|`.

    Args:
        y_pred: predicted grades, shape (N,).
        y: true grades, shape (N,).
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [0, K - 1] for K grades, or shape (R,), float64.

    Example:
        >>> import torch
        >>> grade_mean_absolute_error(torch.tensor([0, 1, 2, 0]), torch.tensor([0, 0, 3, 0]))
        tensor(0.5000, dtype=torch.float64)
    """
    return image_mean((y_pred.double() - y.double()).abs(), weight)


def macro_mean_absolute_error(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Unweighted mean over the true grades of the MAE (Baccianella et al., 2009), which a rare grade moves as much.

    .. math:: \frac{1}{K} \sum_k \frac{1}{N_k} \sum_{n : y_n = k} |y_n - \hat y_n|

    Args:
        y_pred: predicted grades, shape (N,).
        y: true grades, shape (N,). A grade that no image has is left out of the mean.
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [0, K - 1] for K grades, or shape (R,), float64.

    Example:
        >>> import torch
        >>> macro_mean_absolute_error(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 2]))
        tensor(1., dtype=torch.float64)
    """
    weight = image_weight(weight, y)
    images = (y == torch.unique(y)[:, None]).double()
    error = (y_pred.double() - y.double()).abs()
    return mean_over_occurring((images * error) @ weight, images @ weight)


class GradeMeanAbsoluteError(GradeMetric):
    """Cumulative form of :func:`grade_mean_absolute_error`.

    Example:
        >>> import torch
        >>> metric = GradeMeanAbsoluteError()
        >>> _ = metric(torch.tensor([2, 0]), torch.tensor([2, 1]))
        >>> metric.aggregate().item()
        0.5
    """

    measure = staticmethod(grade_mean_absolute_error)


class MacroMeanAbsoluteError(GradeMetric):
    """Cumulative form of :func:`macro_mean_absolute_error`.

    Example:
        >>> import torch
        >>> metric = MacroMeanAbsoluteError()
        >>> _ = metric(torch.tensor([0, 0, 0]), torch.tensor([0, 0, 1]))
        >>> metric.aggregate().item()
        0.5
    """

    measure = staticmethod(macro_mean_absolute_error)
