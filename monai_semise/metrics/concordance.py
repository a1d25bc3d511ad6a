# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor

from monai_semise.metrics.counting import image_weight

__all__ = ["concordance", "ordinal_c_index"]


def concordance(score: Tensor, grade: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    r"""What two orders say of all pairs of images that differ in grade, without listing the pairs.

    Goes through the grades upwards and looks up, for each image, how many of a lower grade score below and above it:
    O(N log N + N K) time for K grades, linear memory.

    Args:
        score: first order, shape (N,).
        grade: second order, shape (N,), best the one with fewer distinct values.
        weight: how often each image counts, shape (N,) or (N, R), float64.

    Returns:
        number of concordant less number of discordant pairs, nan where a score is; and number of pairs of unlike grade.
        Both scalars, or of shape (R,).
    """
    levels, place = torch.unique(score, return_inverse=True)
    lower = weight.new_zeros((len(levels), *weight.shape[1:]))  # images of a lower grade at each level of the score
    balance, pairs = lower.sum(0), lower.sum(0)
    for value in torch.unique(grade):
        at, here = place[grade == value], weight[grade == value]
        total = lower.sum(0)
        # those at or below, less those above, less the ties
        balance += (here * (2 * lower.cumsum(0) - total - lower)[at]).sum(0)
        pairs += here.sum(0) * total
        lower.index_add_(0, at, here)
    return (balance * torch.nan if score.isnan().any() else balance), pairs


def ordinal_c_index(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""Share of all pairs of unlike grade in which the worse image has the higher score; equal scores count one half.

    .. math:: C = \frac{\sum_{a,b : y_a > y_b} [s_a > s_b] + \frac12 [s_a = s_b]}{\sum_{a,b : y_a > y_b} 1}

    For two grades it is the area under the ROC curve. O(N log N + N K) time for K grades, linear memory.

    Args:
        y_pred: severity scores, shape (N,).
        y: true grades, shape (N,).
        weight: how often each image counts, shape (N,), or (N, R) for R resamples at once; once by default.

    Returns:
        scalar in [0, 1], or shape (R,), float64: 0.5 for a constant score, nan for a single grade or a score of nan.

    Example:
        >>> import torch
        >>> ordinal_c_index(torch.tensor([0.1, 0.3, 0.2, 0.9]), torch.tensor([0, 0, 1, 2]))
        tensor(0.8000, dtype=torch.float64)
    """
    balance, pairs = concordance(y_pred, y, image_weight(weight, y))
    return (balance / pairs + 1) / 2
