# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from torch import Tensor

from monai_semise.metrics.counting import image_weight
from monai_semise.metrics.grade_metric import GradeMetric

__all__ = ["QuadraticWeightedKappa", "quadratic_weighted_kappa"]


def quadratic_weighted_kappa(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Cohen's kappa with quadratic weights: squared error against that of independent draws of the same grades.

    .. math::
        \kappa = 1 - \frac{\sum_n (y_n - \hat y_n)^2}{\frac{1}{N} \sum_n \sum_m (y_n - \hat y_m)^2}

    Grades are numbers: where none of the images has grade 2, 1 and 3 stay two apart, as in scikit-learn's
    ``cohen_kappa_score`` when it is given all grades as ``labels``.

    Args:
        y_pred: predicted grades, shape (N,).
        y: true grades, shape (N,).
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [-1, 1], or shape (R,), float64: 0 for a constant predictor, nan when all grades, predicted and true,
        are one.

    Example:
        >>> import torch
        >>> quadratic_weighted_kappa(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 2, 3]))
        tensor(0.8750, dtype=torch.float64)
    """
    weight = image_weight(weight, y)
    y_pred, y = y_pred.double(), y.double()
    squares = (y_pred.square() + y.square()) @ weight
    observed = (y_pred - y).square() @ weight
    expected = squares - 2 * (y_pred @ weight) * (y @ weight) / weight.sum(0)
    return 1 - observed / expected


class QuadraticWeightedKappa(GradeMetric):
    """Cumulative form of :func:`quadratic_weighted_kappa`.

    Example:
        >>> import torch
        >>> metric = QuadraticWeightedKappa()
        >>> _ = metric(torch.tensor([0, 2]), torch.tensor([0, 2]))
        >>> metric.aggregate().item()
        1.0
    """

    measure = staticmethod(quadratic_weighted_kappa)
