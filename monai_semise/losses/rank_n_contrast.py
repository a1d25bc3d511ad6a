# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from monai.utils import LossReduction
from torch import Tensor
from torch.autograd.function import once_differentiable

from monai_semise.losses.reduction import reduce_loss
from monai_semise.losses.temperature_loss import TemperatureLoss
from monai_semise.utils import at_least_float32, rank, sum_over_ranks, world_size

__all__ = ["RankNContrastLoss", "rank_n_contrast_loss"]

_MOST_PAIRS = 2**19  # of anchors and rows at once, but for
_FEWEST_ANCHORS = 64
_MOST_LEVELS_SUMMED = 64  # one operation each; with more, one running sum over all rows is faster
_NOTHING = -1e30
"""Logarithm of an empty sum; finite, so that a difference of two has a gradient."""


def rank_n_contrast_loss(
    input: Tensor,
    labels: Tensor,
    temperature: float = 2.0,
    reduction: LossReduction | str = "mean",
    shared: bool = False,
) -> Tensor:
    r"""Rank-N-Contrast: the nearer two labels, the nearer their embeddings (Zha et al. 2023, arXiv 2210.01189).

    .. math::
        L = \frac{1}{N (N - 1)} \sum_i \sum_{j \neq i} -\log
            \frac{\exp(-\lVert v_i - v_j \rVert / \tau)}{\sum_{k \in S_{ij}} \exp(-\lVert v_i - v_k \rVert / \tau)},
        \qquad S_{ij} = \{k \neq i : |y_i - y_k| \geq |y_i - y_j|\}

    With the rows in the order of their labels, :math:`S_{ij}` is all rows up to one and all rows from another: two
    running sums, over the different labels where these are few. No row is sorted by itself. Up to 724 rows at once;
    beyond, anchors are taken in parts whose sums the backward pass computes anew, so that memory is linear in N but for
    ``"none"``. Time is of order N² D, with different labels N² (D + log N). All in float32 or float64.

    Args:
        input: embeddings of shape (N, D), the views of an image as rows of their own.
        labels: label of each row, such as its grade, shape (N,); a negative label marks a row without one, which is
            left out.
        temperature: :math:`\tau > 0`; the paper's is 2.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``, which is not shared out.
        shared: whether these are the rows of all ranks of a distributed run, gathered by
            :func:`monai_semise.utils.gather_with_gradient`; many rows are then shared out among the ranks.

    Returns:
        scalar, or one value an ordered pair of labelled rows for ``"none"``: those of the first anchor with all others
        in the order of the input, and so on. 0 when there is no pair.

    Example:
        >>> import torch
        >>> grades = torch.tensor([0, 1, 2])
        >>> in_order = rank_n_contrast_loss(torch.tensor([[0.0], [1.0], [2.0]]), grades)
        >>> not_in_order = rank_n_contrast_loss(torch.tensor([[0.0], [2.0], [1.0]]), grades)
        >>> bool(in_order < not_in_order)
        True
    """
    labelled = labels >= 0
    labels, order = labels[labelled].sort(stable=True)
    rows = input[labelled][order]
    with torch.autocast(device_type=rows.device.type, enabled=False):
        rows = at_least_float32(rows)
        n = len(rows)
        if n < 2:
            return reduce_loss(rows[:0].flatten(), reduction)
        rows = rows - rows.mean(dim=0).detach()  # moves no distance, but the product cancels less
        levels = _levels(labels)
        if LossReduction(reduction) == LossReduction.NONE:
            back = order.argsort()
            terms = _terms(rows, levels, temperature)[back][:, back]
            return terms[~torch.eye(n, dtype=torch.bool, device=rows.device)]
        if n * n <= _MOST_PAIRS:
            total = _sum_of_terms(rows, rows, levels, temperature, 0)
        else:
            step = max(_FEWEST_ANCHORS, _MOST_PAIRS // n)
            if shared:
                step = min(step, math.ceil(n / world_size()))
                part = _SumInParts.apply(rows, levels, temperature, range(0, n, step)[rank() :: world_size()], step)
                total = sum_over_ranks(part)
            else:
                total = _SumInParts.apply(rows, levels, temperature, range(0, n, step), step)
    return total if LossReduction(reduction) == LossReduction.SUM else total / (n * (n - 1))


class _Levels(NamedTuple):
    """The different labels of rows that are sorted by them: their values and sizes, and which is whose."""

    value: Tensor
    size: Tensor
    of_row: Tensor


def _levels(labels: Tensor) -> _Levels:
    value, of_row, size = labels.unique_consecutive(return_inverse=True, return_counts=True)
    return _Levels(value, size, of_row)


def _terms(rows: Tensor, levels: _Levels, temperature: float) -> Tensor:
    """Of every anchor and row, shape (N, N); those of a row with itself mean nothing."""
    logits = _logits(rows, rows, temperature, 0)
    return _log_denominators(logits, levels, 0)[:, levels.of_row] - logits


def _sum_of_terms(anchors: Tensor, rows: Tensor, levels: _Levels, temperature: float, first: int) -> Tensor:
    """Over all pairs of the anchors, which are the rows from ``first`` on."""
    logits = _logits(anchors, rows, temperature, first)
    own = levels.of_row[first : first + len(anchors), None]
    others = levels.size.expand(len(anchors), -1).scatter_add(1, own, torch.full_like(own, -1))
    return (_log_denominators(logits, levels, first) * others).sum() - logits.sum()


def _logits(anchors: Tensor, rows: Tensor, temperature: float, first: int) -> Tensor:
    """Shape (anchors, N); 0 for an anchor itself."""
    logits = -torch.cdist(anchors, rows, compute_mode="use_mm_for_euclid_dist") / temperature
    return logits.scatter(1, _itself(logits, first), 0.0)


def _itself(logits: Tensor, first: int) -> Tensor:
    return torch.arange(first, first + len(logits), device=logits.device)[:, None]


def _log_denominators(logits: Tensor, levels: _Levels, first: int) -> Tensor:
    """For each anchor and level, the logarithm of the sum over all other rows that are not nearer."""
    logits = logits.scatter(1, _itself(logits, first), _NOTHING)
    end = levels.size.cumsum(0)
    if len(end) <= _MOST_LEVELS_SUMMED:
        sums = torch.stack([part.logsumexp(dim=1) for part in logits.split(levels.size.tolist(), dim=1)], dim=1)
        lower, upper = sums.logcumsumexp(dim=1), sums.flip(1).logcumsumexp(dim=1).flip(1)
    else:
        lower = logits.logcumsumexp(dim=1)[:, end - 1]
        upper = logits.flip(1).logcumsumexp(dim=1).flip(1)[:, end - levels.size]
    nothing = logits.new_full((len(logits), 1), _NOTHING)
    lower, upper = torch.cat([nothing, lower], dim=1), torch.cat([upper, nothing], dim=1)
    above = levels.value - levels.value[levels.of_row[first : first + len(logits)], None]
    n_lower = torch.searchsorted(above, -above.abs(), right=True)
    first_upper = torch.searchsorted(above, above.abs()).maximum(n_lower)  # its own level is among the lower ones
    return torch.logaddexp(lower.gather(1, n_lower), upper.gather(1, first_upper))


class _SumInParts(torch.autograd.Function):
    """As :func:`_sum_of_terms`, of ``step`` anchors at a time from each of the ``firsts`` on."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, levels: _Levels, temperature: float, firsts: range, step: int) -> Tensor:
        ctx.save_for_backward(rows, *levels)
        ctx.temperature, ctx.firsts, ctx.step = temperature, firsts, step
        total = rows.new_zeros(())
        for first in firsts:
            total += _sum_of_terms(rows[first : first + step], rows, levels, temperature, first)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # type: ignore[override]  # the decorator hides the names
        rows, *levels = ctx.saved_tensors
        pulled = torch.zeros_like(rows)
        with torch.enable_grad(), torch.autocast(device_type=rows.device.type, enabled=False):
            rows = rows.detach().requires_grad_()
            for first in ctx.firsts:
                part = slice(first, first + ctx.step)
                anchors = rows[part].detach().requires_grad_()
                total = _sum_of_terms(anchors, rows, _Levels(*levels), ctx.temperature, first)
                of_anchors, of_rows = torch.autograd.grad(total, (anchors, rows), grad_outputs[0])
                pulled += of_rows
                pulled[part] += of_anchors
        return pulled, None, None, None, None


class RankNContrastLoss(TemperatureLoss):
    """Module form of :func:`rank_n_contrast_loss`.

    In a distributed run, the embeddings of all ranks are compared.

    Args:
        temperature: see :func:`rank_n_contrast_loss`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Example:
        >>> import torch
        >>> loss = RankNContrastLoss()
        >>> loss(torch.randn(8, 16), torch.tensor([0, 0, 1, 1, 2, 2, -1, -1])).isfinite()
        tensor(True)
    """

    def __init__(self, temperature: float = 2.0, reduction: LossReduction | str = LossReduction.MEAN) -> None:
        super().__init__(temperature, reduction)

    def compare(self, input: Tensor, target: Tensor) -> Tensor:
        """
        Args:
            input: embeddings of shape (N, D).
            target: label of each, shape (N,), negative for none.
        """
        return rank_n_contrast_loss(input, target, self.temperature, self.reduction, shared=True)
