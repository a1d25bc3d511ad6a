# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor

from monai_semise.metrics.concordance import concordance
from monai_semise.metrics.counting import image_weight, weighted_counts
from monai_semise.metrics.grade_metric import GradeMetric

__all__ = ["KendallTau", "SpearmanCorrelation", "kendall_tau", "spearman_correlation"]


def kendall_tau(x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Kendall's rank correlation :math:`\tau_b`, which corrects for ties.

    .. math:: \tau_b = \frac{C - D}{\sqrt{(n_0 - t_x)(n_0 - t_y)}}

    with C concordant and D discordant pairs, :math:`n_0 = N(N - 1)/2` pairs in all, and t tied pairs. O(N log N + N K)
    time for K distinct values of y, linear memory.

    Args:
        x: values of shape (N,).
        y: values of shape (N,), best the side with fewer distinct ones.
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [-1, 1], or shape (R,), float64; nan when x or y is constant or holds nan.

    Example:
        >>> import torch
        >>> kendall_tau(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 1, 2]))
        tensor(1., dtype=torch.float64)
    """
    weight = image_weight(weight, y)
    balance, _ = concordance(x, y, weight)
    every = weight.sum(0).square()
    untied_x, untied_y = ((every - weighted_counts(*_levels(values), weight).square().sum(0)) / 2 for values in (x, y))
    tau = balance / (untied_x * untied_y).sqrt()
    return tau * torch.nan if y.isnan().any() else tau


def spearman_correlation(x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Spearman's rank correlation: Pearson's correlation of the ranks, where equal values share their mean rank.

    .. math:: \rho = \frac{\mathrm{cov}(r_x, r_y)}{\sigma(r_x) \, \sigma(r_y)}

    Args:
        x: values of shape (N,).
        y: values of shape (N,).
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [-1, 1], or shape (R,), float64; nan when x or y is constant or holds nan.

    Example:
        >>> import torch
        >>> spearman_correlation(torch.tensor([1.0, 2.0, 3.0, 5.0]), torch.tensor([0, 2, 1, 3]))
        tensor(0.8000, dtype=torch.float64)
    """
    weight = image_weight(weight, y)
    rank_x, rank_y = (_centered_ranks(values, weight) for values in (x, y))
    covariance, variance_x, variance_y = (
        (weight * product).sum(0) for product in (rank_x * rank_y, rank_x.square(), rank_y.square())
    )
    rho = covariance / (variance_x * variance_y).sqrt()
    return rho * torch.nan if x.isnan().any() or y.isnan().any() else rho


def _levels(values: Tensor) -> tuple[Tensor, int]:
    """Place of each value among the distinct ones, and how many those are."""
    levels, place = torch.unique(values, return_inverse=True)
    return place, len(levels)


def _centered_ranks(values: Tensor, weight: Tensor) -> Tensor:
    """Rank of each value less the mean rank; (N,) or (N, R)."""
    place, n_levels = _levels(values)
    counts = weighted_counts(place, n_levels, weight)
    # of equal values, half rank below the mean of their ranks and half above
    return (counts.cumsum(0) - (counts + weight.sum(0)) / 2)[place]


class KendallTau(GradeMetric):
    """Kendall's tau-b of severity score against grade, over the graded images (see :func:`kendall_tau`).

    Example:
        >>> import torch
        >>> metric = KendallTau()
        >>> _ = metric(torch.tensor([0.2, 0.4, 0.1]), torch.tensor([0, 1, -1]))
        >>> metric.aggregate().item()
        1.0
    """

    measure = staticmethod(kendall_tau)


class SpearmanCorrelation(GradeMetric):
    """Spearman's correlation of severity score and grade, over the graded images (see :func:`spearman_correlation`).

    Example:
        >>> import torch
        >>> metric = SpearmanCorrelation()
        >>> _ = metric(torch.tensor([0.2, 0.4, 0.1]), torch.tensor([0, 1, -1]))
        >>> metric.aggregate().item()
        1.0
    """

    measure = staticmethod(spearman_correlation)
