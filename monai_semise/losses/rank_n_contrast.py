# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.utils import LossReduction
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from monai_semise.losses.reduction import reduce_loss
from monai_semise.losses.temperature_loss import TemperatureLoss

__all__ = ["RankNContrastLoss", "rank_n_contrast_loss"]

_MOST_PAIRS = 2**19  # of anchors and rows at once


def rank_n_contrast_loss(
    input: Tensor, labels: Tensor, temperature: float = 2.0, reduction: LossReduction | str = "mean"
) -> Tensor:
    r"""Rank-N-Contrast: the nearer two labels, the nearer their embeddings (Zha et al. 2023, arXiv 2210.01189).

    .. math::
        L = \frac{1}{N (N - 1)} \sum_i \sum_{j \neq i} -\log
            \frac{\exp(-\lVert v_i - v_j \rVert / \tau)}{\sum_{k \in S_{ij}} \exp(-\lVert v_i - v_k \rVert / \tau)},
        \qquad S_{ij} = \{k \neq i : |y_i - y_k| \geq |y_i - y_j|\}

    A row is sorted by the distance of its labels from the anchor's, furthest first; then the sum over :math:`S_{ij}` is
    a running one, read where the ties of j end. Up to 724 rows at once; beyond, anchors are taken in parts whose sums
    the backward pass computes anew, so that memory is linear in N but for ``"none"``. Time is of order N² (D + log N).
    All in float32 or float64.

    Args:
        input: embeddings of shape (N, D), the views of an image as rows of their own.
        labels: label of each row, such as its grade, shape (N,); a negative label marks a row without one, which is
            left out.
        temperature: :math:`\tau > 0`; the paper's is 2.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        scalar, or one value an ordered pair for ``"none"``: pair by pair of the first anchor, the labels furthest from
        its own first, and so on. 0 when there is no pair.

    Example:
        >>> import torch
        >>> grades = torch.tensor([0, 1, 2])
        >>> in_order = rank_n_contrast_loss(torch.tensor([[0.0], [1.0], [2.0]]), grades)
        >>> not_in_order = rank_n_contrast_loss(torch.tensor([[0.0], [2.0], [1.0]]), grades)
        >>> bool(in_order < not_in_order)
        True
    """
    labelled = labels >= 0
    rows, labels = input[labelled], labels[labelled]
    with torch.autocast(device_type=rows.device.type, enabled=False):
        rows = rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows
        rows = rows - rows.mean(dim=0).detach()  # moves no distance, but the product cancels less
        n = len(rows)
        step = max(1, _MOST_PAIRS // max(1, n))
        if step >= n or LossReduction(reduction) == LossReduction.NONE:
            return reduce_loss(_terms(rows, labels, slice(0, n), temperature).flatten(), reduction)
        total = rows.new_zeros(())
        for start in range(0, n, step):
            part = slice(start, start + step)
            total = total + checkpoint(_sum_of_terms, rows, labels, part, temperature, use_reentrant=False)
    return total if LossReduction(reduction) == LossReduction.SUM else total / (n * (n - 1))


def _terms(rows: Tensor, labels: Tensor, anchors: slice, temperature: float) -> Tensor:
    """The terms of some anchors, shape (anchors, N - 1), the labels furthest from the anchor's first."""
    logits = -torch.cdist(rows[anchors], rows, compute_mode="use_mm_for_euclid_dist") / temperature
    apart = (labels[anchors, None] - labels).abs()
    apart.diagonal(anchors.start).fill_(-1)  # the anchor itself comes last, and is left out
    nearer, order = (ranked[:, :-1].contiguous() for ranked in apart.neg().sort(dim=1))
    logits = logits.gather(1, order)
    end_of_ties = torch.searchsorted(nearer, nearer, right=True) - 1
    return logits.logcumsumexp(dim=1).gather(1, end_of_ties) - logits


def _sum_of_terms(rows: Tensor, labels: Tensor, anchors: slice, temperature: float) -> Tensor:
    return _terms(rows, labels, anchors, temperature).sum()


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
        return rank_n_contrast_loss(input, target, self.temperature, self.reduction)
