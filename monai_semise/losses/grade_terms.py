# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

from monai.utils import LossReduction
from torch import Tensor
from torch.nn.modules.loss import _Loss

from monai_semise.losses.corn import OrdinalCornLoss
from monai_semise.losses.rank_n_contrast import RankNContrastLoss
from monai_semise.utils import gather_with_gradient
from monai_semise.utils.heads import PROJECTION, THRESHOLDS

__all__ = ["GradeTermsLoss"]


class GradeTermsLoss(_Loss):
    r"""Base of the losses of both phases: what grades say beside the comparison with healthy images.

    .. math::
        \gamma L_{grade} + \omega L_{ordinal}

    Neither is in the paper. :math:`L_{grade}` is Rank-N-Contrast on the projections of all views of graded images: it
    draws images of one grade together, the nearer the grades the nearer. :math:`L_{ordinal}` is CORN on the same views:
    an order alone does not say where one grade ends and the next begins.

    Args:
        grade_weight: :math:`\gamma \ge 0`; 0 is the paper's loss.
        grade_temperature: see :func:`monai_semise.losses.rank_n_contrast_loss`.
        ordinal_weight: :math:`\omega \ge 0`; 0 is the paper's loss. Above 0, the network must have been told
            ``n_grades``.
        n_grades: number of grades K, that of the network; needed where ``ordinal_weight`` is above 0.
        reduction: ``"mean"`` or ``"sum"`` of each term; where both weights are 0 also ``"none"``.
    """

    def __init__(
        self,
        grade_weight: float,
        grade_temperature: float,
        ordinal_weight: float,
        n_grades: int | None,
        reduction: LossReduction | str,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        for name, weight in (("grade_weight", grade_weight), ("ordinal_weight", ordinal_weight)):
            if not weight >= 0:
                raise ValueError(f"{name} must not be negative, got {weight}")
            if weight > 0 and self.reduction == LossReduction.NONE.value:
                raise ValueError(f'reduction must be "mean" or "sum" with {name} above 0: the terms differ in length')
        if ordinal_weight > 0 and n_grades is None:
            raise ValueError(f"ordinal_weight {ordinal_weight} needs n_grades, the number of grades")
        self.grade = RankNContrastLoss(grade_temperature, reduction)
        self.grade_weight = grade_weight
        self.ordinal = None if n_grades is None else OrdinalCornLoss(n_grades, reduction)
        self.ordinal_weight = ordinal_weight
        self.terms: dict[str, Tensor] = {}

    def _with_grade_terms(self, loss: Tensor, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """The loss with what grades add to it, which :attr:`terms` then holds, too."""
        for name, weight, term in (
            ("grade", self.grade_weight, self._grade),
            ("ordinal", self.ordinal_weight, self._ordinal),
        ):
            if weight > 0:
                value = term(input, target)
                self.terms[name] = value.detach()
                loss = loss + weight * value
        return loss

    def _grade(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        return self.grade(input[:, :, PROJECTION].flatten(0, 1), target["severity"].repeat(len(input)))

    def _ordinal(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        assert self.ordinal is not None
        if input.shape[2] <= THRESHOLDS + 1:
            raise ValueError(
                "the ordinal term needs the logits of a network with n_grades, got input of shape "
                f"{tuple(input.shape)} (V, N, H, D) without them"
            )
        logits = input[:, :, THRESHOLDS, : self.ordinal.n_grades - 1].flatten(0, 1)
        grades = target["severity"].repeat(len(input))
        return self.ordinal(gather_with_gradient(logits), gather_with_gradient(grades))
