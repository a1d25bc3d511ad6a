# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from monai.utils import LossReduction
from torch import Tensor

from monai_semise.losses.cosine import cosine_distance
from monai_semise.losses.preference import preference_loss
from monai_semise.losses.semise import SemiseLoss
from monai_semise.utils import gather_with_gradient
from monai_semise.utils.heads import PREFERENCE, PROJECTION

__all__ = ["ComparisonLoss", "Order"]


class Order(Protocol):
    """What is known of the order of images without grades: :class:`monai_semise.comparison.ImpliedPreference`."""

    def pairs(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs of positions in ``index``, shape (P, 2), and for each the probability that the first is worse."""

    def severity(self, index: Tensor) -> Tensor:
        """Severity of each image on a scale whose differences count, from 0; negative where it is not known."""


class ComparisonLoss(SemiseLoss):
    """SEMISE's phase 2 (Eq. 4) on comparisons alone: the reference is the network's own, no image need be healthy.

    For :class:`monai_semise.networks.LearnedReferenceNet`, which puts its reference in the place of every projection.
    All pairs of a batch are compared, by what the order says of them; the third term, which draws images of like
    severity together, takes the severities of that order, on the preference head. There is no fourth: an order has no
    grades to set thresholds between.

    Args:
        order: of the images, by their ``index``.
        alpha: see :func:`semise_loss`.
        temperature: see :func:`monai_semise.losses.nt_xent_loss`.
        scale: see :func:`monai_semise.losses.preference_loss`.
        grade_weight: weight of the third term.
        grade_temperature: see :func:`monai_semise.losses.rank_n_contrast_loss`.
        reduction: see :class:`SemiseLoss`.

    Example:
        >>> import torch
        >>> from monai_semise.comparison import ImpliedPreference
        >>> from monai_semise.data import PreferencePair
        >>> loss = ComparisonLoss(ImpliedPreference([PreferencePair(0, 1, 1.0)]), alpha=0.0)
        >>> embeddings = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])[None]  # the first lies far
        >>> right, wrong = (loss(embeddings, {"index": torch.tensor(index)}) for index in ([0, 1], [1, 0]))
        >>> bool(right < wrong)
        True
    """

    def __init__(
        self,
        order: Order,
        alpha: float = 0.5,
        temperature: float = 0.5,
        scale: float = 1.0,
        grade_weight: float = 0.0,
        grade_temperature: float = 2.0,
        reduction: LossReduction | str = LossReduction.MEAN,
    ) -> None:
        super().__init__(
            alpha,
            temperature,
            scale,
            grade_weight=grade_weight,
            grade_temperature=grade_temperature,
            reduction=reduction,
        )
        self.order = order

    def _preference(self, graded_view: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        reference = graded_view[0, PROJECTION]
        distance = gather_with_gradient(cosine_distance(graded_view[:, PREFERENCE], reference))
        pairs, preference = self.order.pairs(gather_with_gradient(target["index"]))
        a, b = pairs.unbind(1)
        return preference_loss(distance[a], distance[b], preference, None, self.preference.scale, self.reduction)

    def _grade(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        severity = self.order.severity(target["index"])
        return self.grade(input[:, :, PREFERENCE].flatten(0, 1), severity.repeat(len(input)))
