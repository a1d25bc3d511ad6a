# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.utils import LossReduction
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.loss import _Loss

from monai_semise.losses.reduction import reduce_loss
from monai_semise.utils import at_least_float32

__all__ = ["OrdinalCornLoss", "ordinal_corn_loss"]


def ordinal_corn_loss(logits: Tensor, grades: Tensor, reduction: LossReduction | str = "mean") -> Tensor:
    r"""CORN: at each threshold, is an image that reaches it worse still? (Shi et al. 2023, arXiv 2111.08851, Eq. 8)

    .. math::
        L = \frac{1}{\sum_k |S_k|} \sum_{k=0}^{K-2} \sum_{i \in S_k} -\log \sigma\big((2 [y_i > k] - 1)\, z_{ik}\big),
        \qquad S_k = \{i : y_i \geq k\}

    :math:`\sigma(z_{ik})` is then the probability of "worse than grade k, given at least k". In float32 or float64.

    Args:
        logits: shape (N, K - 1).
        grades: 0 to K - 1, shape (N,), unchecked; a negative one marks a row without a grade, which is left out.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        scalar, or one value for every pair of a row and a threshold that it reaches, row by row, for ``"none"``. 0 when
        there is none.

    Example:
        >>> import torch
        >>> ordinal_corn_loss(torch.zeros(3, 2), torch.tensor([0, 1, 2]))
        tensor(0.6931)
        >>> ordinal_corn_loss(torch.tensor([[9.0, 9.0], [-9.0, 0.0]]), torch.tensor([2, 0]), reduction="none")
        tensor([0.0001, 0.0001, 0.0001])
    """
    logits = at_least_float32(logits)
    threshold = torch.arange(logits.shape[1], device=logits.device)
    reached = grades[:, None] >= threshold
    worse = (grades[:, None] > threshold)[reached].to(logits.dtype)
    return reduce_loss(F.binary_cross_entropy_with_logits(logits[reached], worse, reduction="none"), reduction)


class OrdinalCornLoss(_Loss):
    """Module form of :func:`ordinal_corn_loss`.

    Args:
        n_grades: number of grades K, at least 2.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Example:
        >>> import torch
        >>> OrdinalCornLoss(3)(torch.zeros(2, 2), torch.tensor([0, 2]))
        tensor(0.6931)
    """

    def __init__(self, n_grades: int, reduction: LossReduction | str = LossReduction.MEAN) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if n_grades < 2:
            raise ValueError(f"n_grades must be at least 2, got {n_grades}")
        self.n_grades = n_grades

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """
        Args:
            input: logits of shape (N, K - 1), see :class:`monai_semise.networks.SeverityClassifier`.
            target: grades of shape (N,), negative for none.

        Raises:
            ValueError: when the logits are not K - 1.
        """
        if input.shape[1:] != (self.n_grades - 1,):
            raise ValueError(
                f"input must have shape (N, {self.n_grades - 1}) for {self.n_grades} grades, got {tuple(input.shape)}"
            )
        return ordinal_corn_loss(input, target, self.reduction)
