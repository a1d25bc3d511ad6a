# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from torch import Tensor

from monai_semise.metrics.counting import image_mean
from monai_semise.metrics.grade_metric import GradeMetric

__all__ = ["GradeAccuracy", "OneOffAccuracy", "grade_accuracy", "one_off_accuracy"]


def grade_accuracy(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Share of images with the right grade: :math:`\frac{1}{N} \sum_n [\hat y_n = y_n]`.

    Args:
        y_pred: predicted grades, shape (N,).
        y: true grades, shape (N,).
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [0, 1], or shape (R,), float64.

    Example:
        >>> import torch
        >>> grade_accuracy(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 2, 3]))
        tensor(0.7500, dtype=torch.float64)
    """
    return image_mean(y_pred == y, weight)


def one_off_accuracy(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Share of images at most one grade off: :math:`\frac{1}{N} \sum_n [|\hat y_n - y_n| \le 1]`.

    Args:
        y_pred: predicted grades, shape (N,).
        y: true grades, shape (N,).
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [0, 1], or shape (R,), float64.

    Example:
        >>> import torch
        >>> one_off_accuracy(torch.tensor([0, 1, 2, 0]), torch.tensor([0, 0, 3, 2]))
        tensor(0.7500, dtype=torch.float64)
    """
    return image_mean((y_pred.double() - y.double()).abs() <= 1, weight)


class GradeAccuracy(GradeMetric):
    """Cumulative form of :func:`grade_accuracy`.

    Example:
        >>> import torch
        >>> metric = GradeAccuracy()
        >>> _ = metric(torch.tensor([2, 0]), torch.tensor([2, 1]))
        >>> metric.aggregate().item()
        0.5
    """

    measure = staticmethod(grade_accuracy)


class OneOffAccuracy(GradeMetric):
    """Cumulative form of :func:`one_off_accuracy`.

    Example:
        >>> import torch
        >>> metric = OneOffAccuracy()
        >>> _ = metric(torch.tensor([2, 0]), torch.tensor([1, 2]))
        >>> metric.aggregate().item()
        0.5
    """

    measure = staticmethod(one_off_accuracy)
