# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor

from monai_semise.metrics.cumulative import WholeSetMetric

__all__ = ["KendallTau", "kendall_tau"]

_CHUNK_ELEMENTS = 1 << 24


def kendall_tau(x: Tensor, y: Tensor) -> Tensor:
    r"""Kendall's rank correlation :math:`\tau_b`, which corrects for ties.

    .. math:: \tau_b = \frac{C - D}{\sqrt{(n_0 - t_x)(n_0 - t_y)}}

    with C concordant and D discordant pairs, :math:`n_0 = N(N - 1)/2` pairs in all, and t tied pairs. Compares all
    pairs in chunks: O(N²) time, linear memory.

    Args:
        x: values of shape (N,).
        y: values of shape (N,).

    Returns:
        scalar in [-1, 1], float64; nan when x or y is constant or holds nan.

    Example:
        >>> import torch
        >>> kendall_tau(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 1, 2]))
        tensor(1., dtype=torch.float64)
    """
    x, y = x.double(), y.double()
    balance, untied_x, untied_y = 0.0, 0, 0
    # ordered pairs: each pair is met twice in all three sums, which cancels
    for x_rows, y_rows in zip(*(t.split(max(1, _CHUNK_ELEMENTS // max(1, len(x)))) for t in (x, y))):
        sign_x, sign_y = torch.sign(x_rows[:, None] - x), torch.sign(y_rows[:, None] - y)
        balance += float((sign_x * sign_y).sum())
        untied_x += int(sign_x.count_nonzero())
        untied_y += int(sign_y.count_nonzero())
    if not untied_x or not untied_y or x.isnan().any() or y.isnan().any():
        return x.new_tensor(torch.nan)
    return x.new_tensor(balance / (untied_x * untied_y) ** 0.5)


class KendallTau(WholeSetMetric):
    """Kendall's tau-b of severity score against grade, over the graded images (see :func:`kendall_tau`).

    Example:
        >>> import torch
        >>> metric = KendallTau()
        >>> _ = metric(torch.tensor([0.2, 0.4, 0.1]), torch.tensor([0, 1, -1]))
        >>> metric.aggregate().item()
        1.0
    """

    def compute(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """
        Args:
            y_pred: severity scores, shape (N,) or (N, 1).
            y: severity of shape (N,), or rows whose first column it is; negative when ungraded.
        """
        severity = y.reshape(len(y), -1)[:, 0]
        graded = severity >= 0
        return kendall_tau(y_pred.flatten()[graded], severity[graded])
