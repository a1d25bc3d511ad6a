# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monai_semise.metrics.concordance import ordinal_c_index
from monai_semise.metrics.cumulative import WholeSetMetric

__all__ = ["PairAccuracy", "pair_accuracy"]


def pair_accuracy(score: Tensor, pairs: Tensor, preference: Tensor) -> Tensor:
    """Share of pairs in which the worse image has the higher severity score.

    Args:
        score: severity scores of shape (N,).
        pairs: rows (a, b) of indices into ``score``, shape (P, 2).
        preference: above 0.5 where a is the worse image, below where b is; pairs at 0.5 are left out. Shape (P,).

    Returns:
        scalar in [0, 1], float64; equal scores count one half. nan without a pair or with a score that is nan.

    Example:
        >>> import torch
        >>> pair_accuracy(torch.tensor([0.9, 0.1]), torch.tensor([[0, 1], [1, 0]]), torch.tensor([1.0, 1.0]))
        tensor(0.5000, dtype=torch.float64)
    """
    untied = preference != 0.5
    a, b = pairs[untied].long().unbind(1)
    direction = torch.sign(preference[untied].double() - 0.5)
    difference = score[a].double() - score[b].double()
    # torch.sign makes 0 of nan, which would pass for a tie
    agreement = torch.sign(difference).masked_fill(difference.isnan(), torch.nan) * direction
    return ((agreement + 1) / 2).mean()


class PairAccuracy(WholeSetMetric):
    """Pair accuracy of severity scores, over given pairs or over all pairs of unlike grade (the ordinal C-index).

    Args:
        pairs: pairs ``(a, b, preference, weight)`` of item indices, as from
            :func:`monai_semise.data.draw_preference_pairs`; None compares all pairs of unlike grade.
        include_healthy: without ``pairs``, whether healthy images are compared too.

    Example:
        >>> import torch
        >>> metric = PairAccuracy()
        >>> _ = metric(torch.tensor([0.2, 0.4, 0.9]), torch.tensor([[1, 0], [2, 1], [3, 2]]))
        >>> metric.aggregate().item()
        1.0
    """

    def __init__(
        self, pairs: Sequence[tuple[int, int, float, float]] | None = None, include_healthy: bool = False
    ) -> None:
        super().__init__()
        self.pairs = None if pairs is None else torch.tensor([pair[:2] for pair in pairs]).long().reshape(-1, 2)
        self.preference = None if pairs is None else torch.tensor([pair[2] for pair in pairs])
        self.include_healthy = include_healthy

    def compute(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """
        Args:
            y_pred: severity scores, shape (N,) or (N, 1).
            y: rows (severity, item index) of shape (N, 2), severity negative when ungraded.
        """
        score, (severity, index) = y_pred.flatten().cpu(), y.cpu().long().unbind(1)
        if self.pairs is None or self.preference is None:
            compared = severity >= (0 if self.include_healthy else 1)
            return ordinal_c_index(score[compared], severity[compared])
        n_indices = int(torch.cat([self.pairs.flatten(), index]).max()) + 1
        by_index, scored = score.new_zeros(n_indices), torch.zeros(n_indices, dtype=torch.bool)
        by_index[index], scored[index] = score, True
        if not scored[self.pairs].all():
            missing = self.pairs[~scored[self.pairs]][0]
            raise ValueError(f"PairAccuracy: the pairs name item {int(missing)}, which has no score")
        return pair_accuracy(by_index, self.pairs, self.preference)
