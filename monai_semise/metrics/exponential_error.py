# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from torch import Tensor

from monai_semise.metrics.cumulative import WholeSetMetric

__all__ = ["MeanAbsoluteExponentialError", "mean_absolute_exponential_error"]


def mean_absolute_exponential_error(y_pred: Tensor, y: Tensor) -> Tensor:
    r"""MAEE: :math:`\frac{1}{N} \sum_n \exp |y_n - \hat y_n|`, the ordinal error of SEMISE and ConPrO.

    A plain mean over images, not over grades. A perfect prediction scores 1, not 0.

    Args:
        y_pred: predicted grades, shape (N,).
        y: true grades, shape (N,).

    Returns:
        scalar in [1, exp(K - 1)] for K grades, float64.

    Example:
        >>> import torch
        >>> mean_absolute_exponential_error(torch.tensor([0, 1]), torch.tensor([0, 1]))
        tensor(1., dtype=torch.float64)
    """
    return (y_pred.double() - y.double()).abs().exp().mean()


class MeanAbsoluteExponentialError(WholeSetMetric):
    """Cumulative form of :func:`mean_absolute_exponential_error`.

    Example:
        >>> import torch
        >>> metric = MeanAbsoluteExponentialError()
        >>> _ = metric(torch.tensor([2, 0]), torch.tensor([2, 0]))
        >>> metric.aggregate().item()
        1.0
    """

    def compute(self, y_pred: Tensor, y: Tensor) -> Tensor:
        return mean_absolute_exponential_error(y_pred.flatten(), y.flatten())
