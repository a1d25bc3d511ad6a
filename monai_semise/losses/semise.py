# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

from monai.utils import LossReduction
from torch import Tensor

from monai_semise.losses.grade_terms import GradeTermsLoss
from monai_semise.losses.margin_contrastive import MarginContrastiveLoss
from monai_semise.losses.nt_xent import NTXentLoss
from monai_semise.losses.preference import PreferenceLoss
from monai_semise.losses.reference import healthy_reference
from monai_semise.utils import gather_with_gradient
from monai_semise.utils.heads import CONTRAST, PREFERENCE, PROJECTION

__all__ = ["HealthyAnomalyLoss", "SemiseLoss", "semise_loss"]


def semise_loss(nt_xent: Tensor, preference: Tensor, alpha: float = 0.5) -> Tensor:
    r"""Eq. 4 of SEMISE: :math:`L = \alpha L_{NT-Xent} + (1 - \alpha) L_{PrO}`.

    The terms differ in size: NT-Xent starts near :math:`\log(2N - 1)` (6.2 for N = 256), the preference loss at
    :math:`\log 2 = 0.69`; alpha = 0.5 is not a balance of gradients.

    Args:
        nt_xent: value of :func:`monai_semise.losses.nt_xent_loss`.
        preference: value of :func:`monai_semise.losses.preference_loss`.
        alpha: in [0, 1]; 1 is NT-Xent alone, 0 preference alone.

    Example:
        >>> import torch
        >>> semise_loss(torch.tensor(2.0), torch.tensor(1.0), alpha=0.25)
        tensor(1.2500)
    """
    return alpha * nt_xent + (1 - alpha) * preference


class SemiseLoss(GradeTermsLoss):
    r"""Phase 2 of SEMISE: NT-Xent on two views joined with the preference loss (Eq. 4), and what grades say beside it.

    .. math::
        L = \alpha L_{NT-Xent} + (1 - \alpha) L_{PrO} + \gamma L_{grade} + \omega L_{ordinal}

    Every image enters NT-Xent; only graded ones (or those named in explicit pairs) enter the preference loss, which
    measures distances in the first view. Preference orders distances from healthy alone, and NT-Xent pushes images of
    one grade apart: what :class:`monai_semise.losses.grade_terms.GradeTermsLoss` adds draws them together, and tells
    where one grade ends and the next begins. After each call, :attr:`terms` holds the terms apart. In a distributed run
    the loss is that of the whole gathered batch.

    Args:
        alpha: see :func:`semise_loss`. At 0 and at 1, the other term is not computed.
        temperature: see :func:`monai_semise.losses.nt_xent_loss`.
        scale: see :func:`monai_semise.losses.preference_loss`.
        ties: see :func:`monai_semise.losses.comparable_pairs`.
        balance: see :func:`monai_semise.losses.batch_preference_loss`.
        include_healthy: see :func:`monai_semise.losses.comparable_pairs`.
        detach_reference: whether the healthy reference lets no gradient through.
        grade_weight, grade_temperature, ordinal_weight, n_grades: see
            :class:`monai_semise.losses.grade_terms.GradeTermsLoss`.
        reduction: ``"mean"`` or ``"sum"``, of each term before they are joined. The terms differ in length, so there
            is no ``"none"``.

    Example:
        >>> import torch
        >>> loss = SemiseLoss(alpha=0.5)
        >>> embeddings = torch.randn(2, 8, 2, 16)  # views, images, heads, dimensions
        >>> value = loss(embeddings, {"severity": torch.tensor([0, 0, 1, 2, 3, 4, -1, -1])})
        >>> sorted(loss.terms)
        ['nt_xent', 'preference']
    """

    def __init__(
        self,
        alpha: float = 0.5,
        temperature: float = 0.5,
        scale: float = 1.0,
        ties: str = "skip",
        balance: str = "grade",
        include_healthy: bool = False,
        detach_reference: bool = False,
        grade_weight: float = 0.0,
        grade_temperature: float = 2.0,
        ordinal_weight: float = 0.0,
        n_grades: int | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
    ) -> None:
        super().__init__(grade_weight, grade_temperature, ordinal_weight, n_grades, reduction)
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
        if self.reduction == LossReduction.NONE.value:
            raise ValueError('reduction must be "mean" or "sum": the terms differ in length')
        self.alpha = alpha
        self.nt_xent = NTXentLoss(temperature, reduction)
        self.preference = PreferenceLoss(scale, ties, balance, include_healthy, reduction)
        self.detach_reference = detach_reference

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: embeddings of shape (V, N, H, D): views, images, heads, dimensions. The first view is the one that
                is graded; two views are needed unless alpha is 0. Heads as in :mod:`monai_semise.utils.heads`.
            target: ``"severity"``, integers of shape (N,), negative when ungraded; with explicit pairs also
                ``"pairs"`` (P, 2), rows of indices into the images, ``"preference"`` (P,) in [0, 1] and ``"weight"``
                (P,).
        """
        _check_shape(input)
        # a term whose share is 0 is the zero of an empty sum: it keeps the graph of every head
        nt_xent = self._nt_xent(input) if self.alpha > 0 else input[:0].sum()
        preference = self._preference(input[0], target) if self.alpha < 1 else input[:0].sum()
        self.terms = {"nt_xent": nt_xent.detach(), "preference": preference.detach()}
        return self._with_grade_terms(semise_loss(nt_xent, preference, self.alpha), input, target)

    def _nt_xent(self, input: Tensor) -> Tensor:
        if len(input) != 2:
            raise ValueError(f"NT-Xent compares two views, got input of shape {tuple(input.shape)} (V, N, H, D)")
        return self.nt_xent(input[0, :, CONTRAST], input[1, :, CONTRAST])

    def _preference(self, graded_view: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        projection, severity = graded_view[:, PROJECTION], target["severity"]
        reference = healthy_reference(gather_with_gradient(projection), gather_with_gradient(severity))
        reference = reference.detach() if self.detach_reference else reference
        embedding = graded_view[:, PREFERENCE]
        if "pairs" in target:
            return self.preference(embedding, target["preference"], reference, target["pairs"], target.get("weight"))
        return self.preference(embedding, severity, reference)


class HealthyAnomalyLoss(GradeTermsLoss):
    r"""Phase 1 of SEMISE: the margin contrastive loss (Eq. 1) between healthy (severity 0) and anomalous images.

    .. math::
        L = L_{SupCon} + \gamma L_{grade} + \omega L_{ordinal}

    After each call, :attr:`terms` holds the terms apart.

    Args:
        margin: see :func:`monai_semise.losses.margin_contrastive_loss`.
        balance: see :func:`monai_semise.losses.batch_margin_contrastive_loss`.
        grade_weight, grade_temperature, ordinal_weight, n_grades: see
            :class:`monai_semise.losses.grade_terms.GradeTermsLoss`.
        reduction: ``"mean"``, ``"sum"`` or, without terms of grades, ``"none"``.

    Example:
        >>> import torch
        >>> loss = HealthyAnomalyLoss(margin=1.0)
        >>> loss(torch.randn(1, 4, 2, 16), {"severity": torch.tensor([0, 0, 3, -1])}).isfinite()
        tensor(True)
    """

    def __init__(
        self,
        margin: float = 1.0,
        balance: str = "class",
        grade_weight: float = 0.0,
        grade_temperature: float = 2.0,
        ordinal_weight: float = 0.0,
        n_grades: int | None = None,
        reduction: LossReduction | str = LossReduction.MEAN,
    ) -> None:
        super().__init__(grade_weight, grade_temperature, ordinal_weight, n_grades, reduction)
        self.margin_contrastive = MarginContrastiveLoss(margin, balance, reduction)

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: embeddings of shape (V, N, H, D); the first view's projection is used, of all views by the terms of
                grades.
            target: ``"severity"``, integers of shape (N,), negative when ungraded.
        """
        _check_shape(input)
        anomalous = target["severity"].clamp(-1, 1)
        loss = self.margin_contrastive(input[0, :, PROJECTION], anomalous)
        self.terms = {"margin_contrastive": loss.detach().mean()}
        return self._with_grade_terms(loss, input, target)


def _check_shape(input: Tensor) -> None:
    if input.ndim != 4:
        raise ValueError(
            f"input must have shape (V, N, H, D): views, images, heads, dimensions; got {tuple(input.shape)}"
        )
