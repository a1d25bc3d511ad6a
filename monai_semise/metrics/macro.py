# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor

from monai_semise.metrics.cumulative import WholeSetMetric

__all__ = ["MacroF1Score", "MacroRecall", "macro_f1_score", "macro_recall"]


def _counts(y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """True positives, predictions and truths of each grade that occurs in either tensor."""
    grades = torch.unique(torch.cat([y_pred, y]))
    predicted, true = y_pred[:, None] == grades, y[:, None] == grades
    return (predicted & true).sum(0).double(), predicted.sum(0).double(), true.sum(0).double()


def macro_f1_score(y_pred: Tensor, y: Tensor) -> Tensor:
    """Unweighted mean over grades of the F1 score.

    Args:
        y_pred: predicted grades, integers of shape (N,).
        y: true grades, integers of shape (N,).

    Returns:
        scalar in [0, 1], float64. Grades are those that occur in either tensor, as in scikit-learn.

    Example:
        >>> import torch
        >>> macro_f1_score(torch.tensor([0, 0, 0]), torch.tensor([0, 0, 1]))
        tensor(0.4000, dtype=torch.float64)
    """
    hit, predicted, true = _counts(y_pred, y)
    return (2 * hit / (predicted + true)).mean()


def macro_recall(y_pred: Tensor, y: Tensor) -> Tensor:
    """Unweighted mean over the true grades of the recall (balanced accuracy).

    Args:
        y_pred: predicted grades, integers of shape (N,).
        y: true grades, integers of shape (N,).

    Returns:
        scalar in [0, 1], float64.

    Example:
        >>> import torch
        >>> macro_recall(torch.tensor([0, 0, 0]), torch.tensor([0, 0, 1]))
        tensor(0.5000, dtype=torch.float64)
    """
    hit, _, true = _counts(y_pred, y)
    occurs = true > 0
    return (hit[occurs] / true[occurs]).mean()


class MacroF1Score(WholeSetMetric):
    """Cumulative form of :func:`macro_f1_score`.

    Example:
        >>> import torch
        >>> metric = MacroF1Score()
        >>> _ = metric(torch.tensor([0, 1]), torch.tensor([0, 1]))
        >>> metric.aggregate().item()
        1.0
    """

    def compute(self, y_pred: Tensor, y: Tensor) -> Tensor:
        return macro_f1_score(y_pred.flatten(), y.flatten())


class MacroRecall(WholeSetMetric):
    """Cumulative form of :func:`macro_recall`.

    Example:
        >>> import torch
        >>> metric = MacroRecall()
        >>> _ = metric(torch.tensor([0, 1]), torch.tensor([0, 1]))
        >>> metric.aggregate().item()
        1.0
    """

    def compute(self, y_pred: Tensor, y: Tensor) -> Tensor:
        return macro_recall(y_pred.flatten(), y.flatten())
