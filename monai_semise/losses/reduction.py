# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from monai.utils import LossReduction
from torch import Tensor

__all__ = ["reduce_loss"]


def reduce_loss(loss: Tensor, reduction: LossReduction | str, weight: Tensor | None = None) -> Tensor:
    """Weigh and reduce a vector of losses.

    Args:
        loss: losses of shape (P,).
        reduction: ``"mean"`` (weighted mean), ``"sum"`` (weighted sum) or ``"none"`` (the weighted losses).
        weight: weights of shape (P,), not negative.

    Returns:
        a scalar, or shape (P,) for ``"none"``. The mean of nothing is 0 and keeps the graph, so that a batch without a
        comparable pair neither breaks the backward pass nor stalls the other ranks.
    """
    reduction = LossReduction(reduction)
    if weight is not None and weight.shape != loss.shape:
        raise ValueError(f"weight must have one value a pair, shape {tuple(loss.shape)}, got {tuple(weight.shape)}")
    weighted = loss if weight is None else loss * weight
    if reduction == LossReduction.NONE:
        return weighted
    total = weighted.sum()
    if reduction == LossReduction.SUM:
        return total
    count = loss.numel() if weight is None else weight.sum().clamp_min(1e-12)
    return total / count if loss.numel() else total
