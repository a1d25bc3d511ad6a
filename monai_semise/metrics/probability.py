# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Metrics of the probabilities that a classifier gives to the grades."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_semise.metrics.concordance import ordinal_c_index
from monai_semise.metrics.counting import image_mean
from monai_semise.metrics.grade_metric import GradeMetric
from monai_semise.utils import InputError

__all__ = ["MacroAUC", "RankedProbabilityScore", "macro_auc", "ranked_probability_score"]

_SUM_TOLERANCE = 0.02  # what rounding to bfloat16 leaves of a sum of 1


def macro_auc(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Unweighted mean over grades of the area under the ROC curve of one grade against all others.

    .. math:: \frac{1}{K} \sum_k P(p_{a,k} > p_{b,k} \mid y_a = k, y_b \ne k) + \tfrac12 P(p_{a,k} = p_{b,k} \mid \dots)

    A grade that no image has, or that every image has, has no such area and is left out of the mean.

    Args:
        y_pred: probability of each grade, or any score of it, shape (N, K).
        y: true grades, integers from 0 to K - 1, shape (N,).
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [0, 1], or shape (R,), float64: 0.5 for constant probabilities, nan when all images have one grade or
        a probability is nan.

    Raises:
        InputError: when a grade has no column.

    Example:
        >>> import torch
        >>> macro_auc(torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]]), torch.tensor([0, 0, 1]))
        tensor(0.5000, dtype=torch.float64)
    """
    _check_columns(y_pred, y)
    areas = torch.stack([ordinal_c_index(column, y == k, weight) for k, column in enumerate(y_pred.unbind(1))])
    area = torch.nanmean(areas, 0)
    return area * torch.nan if y_pred.isnan().any() else area


def ranked_probability_score(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""RPS: squared error of the cumulative probabilities, summed over the grades (Epstein, 1969).

    .. math:: \mathrm{RPS} = \frac{1}{N} \sum_n \sum_{k=0}^{K-1} \Big(\sum_{j \le k} p_{n,j} - [y_n \le k]\Big)^2

    Not divided by K - 1, as in Janitza et al. (2016) and dlordinal: a prediction that is certain of one grade scores
    its absolute error in grades.

    Args:
        y_pred: probability of each grade, rows that sum to 1, shape (N, K).
        y: true grades, integers from 0 to K - 1, shape (N,).
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [0, K - 1], or shape (R,), float64; lower is better.

    Raises:
        InputError: when a grade has no column, or rows are no probabilities.

    Example:
        >>> import torch
        >>> ranked_probability_score(torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]), torch.tensor([0, 0]))
        tensor(1.1250, dtype=torch.float64)
    """
    _check_columns(y_pred, y)
    y_pred = y_pred.double()
    wrong = (y_pred < 0).any(1) | ((y_pred.sum(1) - 1).abs() > _SUM_TOLERANCE)
    if wrong.any():
        n = int(wrong.nonzero()[0])
        row = [round(value, 4) for value in y_pred[n].tolist()]
        raise InputError(f"probabilities[{n}]: {row} are no probabilities that sum to 1; apply a softmax first")
    reached = y[:, None] <= torch.arange(y_pred.shape[1], device=y.device)
    return image_mean((y_pred.cumsum(1) - reached.double()).square().sum(1), weight)


def _check_columns(y_pred: Tensor, y: Tensor) -> None:
    if y_pred.ndim != 2:
        raise InputError(f"probabilities: expected one column a grade, shape (N, K), found {tuple(y_pred.shape)}")
    outside = (y < 0) | (y >= y_pred.shape[1])
    if outside.any():
        n = int(outside.nonzero()[0])
        raise InputError(
            f"probabilities: true grade {y[n].item()} of image {n} has no column among the {y_pred.shape[1]} given; "
            "give one for every grade, from 0"
        )


class MacroAUC(GradeMetric):
    """Cumulative form of :func:`macro_auc`: takes probabilities of shape (N, K).

    Example:
        >>> import torch
        >>> metric = MacroAUC()
        >>> _ = metric(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 1]))
        >>> metric.aggregate().item()
        1.0
    """

    measure = staticmethod(macro_auc)


class RankedProbabilityScore(GradeMetric):
    """Cumulative form of :func:`ranked_probability_score`: takes probabilities of shape (N, K).

    Example:
        >>> import torch
        >>> metric = RankedProbabilityScore()
        >>> _ = metric(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([0]))
        >>> metric.aggregate().item()
        2.0
    """

    measure = staticmethod(ranked_probability_score)
