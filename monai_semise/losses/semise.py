# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

from monai.utils import LossReduction
from torch import Tensor
from torch.nn.modules.loss import _Loss

from monai_semise.losses.corn import OrdinalCornLoss
from monai_semise.losses.margin_contrastive import MarginContrastiveLoss
from monai_semise.losses.nt_xent import NTXentLoss
from monai_semise.losses.preference import PreferenceLoss
from monai_semise.losses.rank_n_contrast import RankNContrastLoss
from monai_semise.losses.reference import healthy_reference
from monai_semise.utils import first_of_ranks, gather_with_gradient
from monai_semise.utils.heads import CONTRAST, PREFERENCE, PROJECTION, THRESHOLDS

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


class SemiseLoss(_Loss):
    r"""Phase 2 of SEMISE: NT-Xent on two views joined with the preference loss (Eq. 4), and what grades say beside it.

    .. math::
        L = \alpha L_{NT-Xent} + (1 - \alpha) L_{PrO} + \gamma L_{grade} + \omega L_{ordinal}

    Every image enters NT-Xent; only graded ones (or those named in explicit pairs) enter the preference loss, which
    measures distances in the first view. :math:`L_{grade}`, which the paper has not, is Rank-N-Contrast on the
    projections of all views of graded images: preference orders distances from healthy alone, NT-Xent pushes images of
    one grade apart; this draws them together, the nearer the grades the nearer. :math:`L_{ordinal}`, which it has not
    either, is CORN on the same views: an order alone does not say where one grade ends and the next begins. After each
    call, :attr:`terms` holds the terms apart. In a distributed run the loss is that of the whole gathered batch.

    Args:
        alpha: see :func:`semise_loss`. At 0 and at 1, the other term is not computed.
        temperature: see :func:`monai_semise.losses.nt_xent_loss`.
        scale: see :func:`monai_semise.losses.preference_loss`.
        ties: see :func:`monai_semise.losses.comparable_pairs`.
        balance: see :func:`monai_semise.losses.batch_preference_loss`.
        include_healthy: see :func:`monai_semise.losses.comparable_pairs`.
        detach_reference: whether the healthy reference lets no gradient through.
        grade_weight: :math:`\gamma \ge 0`; 0 is the paper's loss.
        grade_temperature: see :func:`monai_semise.losses.rank_n_contrast_loss`.
        ordinal_weight: :math:`\omega \ge 0`; 0 is the paper's loss. Above 0, the network must have been told
            ``n_grades``.
        n_grades: number of grades K, that of the network; needed where ``ordinal_weight`` is above 0.
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
        super().__init__(reduction=LossReduction(reduction).value)
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
        if self.reduction == LossReduction.NONE.value:
            raise ValueError('reduction must be "mean" or "sum": the terms differ in length')
        for name, weight in (("grade_weight", grade_weight), ("ordinal_weight", ordinal_weight)):
            if not weight >= 0:
                raise ValueError(f"{name} must not be negative, got {weight}")
        if ordinal_weight > 0 and n_grades is None:
            raise ValueError(f"ordinal_weight {ordinal_weight} needs n_grades, the number of grades")
        self.alpha = alpha
        self.nt_xent = NTXentLoss(temperature, reduction)
        self.preference = PreferenceLoss(scale, ties, balance, include_healthy, reduction)
        self.detach_reference = detach_reference
        self.grade = RankNContrastLoss(grade_temperature, reduction)
        self.grade_weight = grade_weight
        self.ordinal = None if n_grades is None else OrdinalCornLoss(n_grades, reduction)
        self.ordinal_weight = ordinal_weight
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: embeddings of shape (V, N, H, D): views, images, heads, dimensions. The first view is the one that
                is graded; two views are needed unless alpha is 0. Heads as in :mod:`monai_semise.utils.heads`.
            target: ``"severity"``, integers of shape (N,), negative when ungraded; with explicit pairs also
                ``"pairs"`` (P, 2), rows of indices into the images, ``"preference"`` (P,) in [0, 1], ``"weight"`` (P,)
                and, where pairs of several processes may name one image, ``"index"`` (N,), which image each is.
        """
        _check_shape(input)
        # a term whose share is 0 is the zero of an empty sum: it keeps the graph of every head
        nt_xent = self._nt_xent(input[:, _taken(target)]) if self.alpha > 0 else input[:0].sum()
        preference = self._preference(input[0], target) if self.alpha < 1 else input[:0].sum()
        self.terms = {"nt_xent": nt_xent.detach(), "preference": preference.detach()}
        loss = semise_loss(nt_xent, preference, self.alpha)
        for name, weight, term in (
            ("grade", self.grade_weight, self._grade),
            ("ordinal", self.ordinal_weight, self._ordinal),
        ):
            if weight > 0:
                value = term(input, target)
                self.terms[name] = value.detach()
                loss = loss + weight * value
        return loss

    def _nt_xent(self, input: Tensor) -> Tensor:
        if len(input) != 2:
            raise ValueError(f"NT-Xent compares two views, got input of shape {tuple(input.shape)} (V, N, H, D)")
        return self.nt_xent(input[0, :, CONTRAST], input[1, :, CONTRAST])

    def _preference(self, graded_view: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        taken = _taken(target)
        projection, severity = graded_view[taken, PROJECTION], target["severity"][taken]
        reference = healthy_reference(gather_with_gradient(projection), gather_with_gradient(severity))
        reference = reference.detach() if self.detach_reference else reference
        embedding = graded_view[:, PREFERENCE]
        if "pairs" in target:
            return self.preference(embedding, target["preference"], reference, target["pairs"], target.get("weight"))
        return self.preference(embedding, target["severity"], reference)

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


class HealthyAnomalyLoss(_Loss):
    """Phase 1 of SEMISE: the margin contrastive loss (Eq. 1) between healthy (severity 0) and anomalous images.

    Args:
        margin: see :func:`monai_semise.losses.margin_contrastive_loss`.
        balance: see :func:`monai_semise.losses.batch_margin_contrastive_loss`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Example:
        >>> import torch
        >>> loss = HealthyAnomalyLoss(margin=1.0)
        >>> loss(torch.randn(1, 4, 2, 16), {"severity": torch.tensor([0, 0, 3, -1])}).isfinite()
        tensor(True)
    """

    def __init__(
        self, margin: float = 1.0, balance: str = "class", reduction: LossReduction | str = LossReduction.MEAN
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        self.margin_contrastive = MarginContrastiveLoss(margin, balance, reduction)
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: embeddings of shape (V, N, H, D); the first view's projection is used.
            target: ``"severity"``, integers of shape (N,), negative when ungraded.
        """
        _check_shape(input)
        anomalous = target["severity"].clamp(-1, 1)
        loss = self.margin_contrastive(input[0, :, PROJECTION], anomalous)
        self.terms = {"margin_contrastive": loss.detach().mean()}
        return loss


def _taken(target: Mapping[str, Tensor]) -> Tensor | slice:
    """Rows of images that no lower rank has: explicit pairs of two processes may name one image, which would be its own
    false negative."""
    return first_of_ranks(target["index"]) if "pairs" in target and "index" in target else slice(None)


def _check_shape(input: Tensor) -> None:
    if input.ndim != 4:
        raise ValueError(
            f"input must have shape (V, N, H, D): views, images, heads, dimensions; got {tuple(input.shape)}"
        )
