# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from torch import Tensor

from monai_semise.metrics.counting import image_mean
from monai_semise.metrics.grade_metric import GradeMetric

__all__ = ["MeanAbsoluteExponentialError", "mean_absolute_exponential_error"]


def mean_absolute_exponential_error(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""MAEE: :math:`\frac{1}{N} \sum_n \exp |y_n - \hat y_n|`, the ordinal error of SEMISE and ConPrO.

    A plain mean over images, not over grades. A perfect prediction scores 1, not 0.

    Args:
        y_pred: predicted grades, shape (N,).
        y: true grades, shape (N,).
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [1, exp(K - 1)] for K grades, or shape (R,), float64.

    Example:
        >>> import torch
        >>> mean_absolute_exponential_error(torch.tensor([0, 1]), torch.tensor([0, 1]))
        tensor(1., dtype=torch.float64)
    """
    return image_mean((y_pred.double() - y.double()).abs().exp(), weight)


class MeanAbsoluteExponentialError(GradeMetric):
    """Cumulative form of :func:`mean_absolute_exponential_error`.

    Example:
        >>> import torch
        >>> metric = MeanAbsoluteExponentialError()
        >>> _ = metric(torch.tensor([2, 0]), torch.tensor([2, 0]))
        >>> metric.aggregate().item()
        1.0
    """

    measure = staticmethod(mean_absolute_exponential_error)
