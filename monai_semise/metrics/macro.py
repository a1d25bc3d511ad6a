# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor

from monai_semise.metrics.counting import image_weight, mean_over_occurring
from monai_semise.metrics.grade_metric import GradeMetric

__all__ = ["MacroF1Score", "MacroRecall", "macro_f1_score", "macro_recall"]


def _counts(y_pred: Tensor, y: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """True positives, predictions and truths of each grade that occurs in either tensor."""
    weight = image_weight(weight, y)
    grades = torch.unique(torch.cat([y_pred, y]))
    predicted, true = y_pred == grades[:, None], y == grades[:, None]
    hit, predicted, true = (images.double() @ weight for images in (predicted & true, predicted, true))
    return hit, predicted, true


def macro_f1_score(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Unweighted mean over grades of the F1 score: :math:`\frac{1}{K} \sum_k \frac{2 TP_k}{2 TP_k + FP_k + FN_k}`.

    Args:
        y_pred: predicted grades, integers of shape (N,).
        y: true grades, integers of shape (N,).
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [0, 1], or shape (R,), float64. Grades are those that occur in either tensor, as in scikit-learn.

    Example:
        >>> import torch
        >>> macro_f1_score(torch.tensor([0, 0, 0]), torch.tensor([0, 0, 1]))
        tensor(0.4000, dtype=torch.float64)
    """
    hit, predicted, true = _counts(y_pred, y, weight)
    return mean_over_occurring(2 * hit, predicted + true)


def macro_recall(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Unweighted mean over the true grades of the recall (balanced accuracy): :math:`\frac{1}{K} \sum_k TP_k / N_k`.

    Every predictor that does not look at the image has 1/K, on average over its draws.

    Args:
        y_pred: predicted grades, integers of shape (N,).
        y: true grades, integers of shape (N,). A grade that no image has is left out of the mean.
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [0, 1], or shape (R,), float64.

    Example:
        >>> import torch
        >>> macro_recall(torch.tensor([0, 0, 0]), torch.tensor([0, 0, 1]))
        tensor(0.5000, dtype=torch.float64)
    """
    hit, _, true = _counts(y_pred, y, weight)
    return mean_over_occurring(hit, true)


class MacroF1Score(GradeMetric):
    """Cumulative form of :func:`macro_f1_score`.

    Example:
        >>> import torch
        >>> metric = MacroF1Score()
        >>> _ = metric(torch.tensor([0, 1]), torch.tensor([0, 1]))
        >>> metric.aggregate().item()
        1.0
    """

    measure = staticmethod(macro_f1_score)


class MacroRecall(GradeMetric):
    """Cumulative form of :func:`macro_recall`.

    Example:
        >>> import torch
        >>> metric = MacroRecall()
        >>> _ = metric(torch.tensor([0, 1]), torch.tensor([0, 1]))
        >>> metric.aggregate().item()
        1.0
    """

    measure = staticmethod(macro_recall)
