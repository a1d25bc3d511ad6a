# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.utils import LossReduction, look_up_option
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.loss import _Loss

from monai_semise.losses.balance import balanced_weights, unordered_groups
from monai_semise.losses.cosine import cosine_distance
from monai_semise.losses.preference_moments import preference_moments_loss
from monai_semise.losses.reduction import reduce_loss
from monai_semise.utils import at_least_float32, gather_with_gradient

__all__ = ["PreferenceLoss", "batch_preference_loss", "comparable_pairs", "preference_loss"]

TIES = ("skip", "half", "zero")
BALANCES = ("grade", "none")

_FEWEST_FOR_MOMENTS = 128  # measured: below, the pairs themselves cost less


def preference_loss(
    distance_a: Tensor,
    distance_b: Tensor,
    preference: Tensor,
    weight: Tensor | None = None,
    scale: float = 1.0,
    reduction: LossReduction | str = "mean",
) -> Tensor:
    r"""Preference loss over explicit pairs: Eq. 3 of SEMISE, read as a Bradley-Terry likelihood.

    .. math::
        L = \mathrm{BCE}\big(\sigma(\beta\,(d_a - d_b)),\; y\big), \qquad d = 1 - \cos(v, \pi_0)

    The paper prints the binary cross entropy of :math:`\log\sigma(\cdot)`, which is not defined (its argument is
    negative); this is the reading that its text asks for: the worse image lies further from healthy. With
    :math:`\beta = 1` the logit lies in [-2, 2], so the loss has a floor of :math:`\log(1 + e^{-2}) = 0.127`.

    Args:
        distance_a: distance of image a from the healthy reference, shape (P,), cosine distances in [0, 2].
        distance_b: distance of image b, shape (P,).
        preference: probability that a is the worse one, in [0, 1], shape (P,): 1 a is worse, 0 b is worse, 0.5 equal.
        weight: weight of each pair, shape (P,), not negative.
        scale: :math:`\beta > 0`, the steepness of the preference.
        reduction: ``"mean"`` (weighted), ``"sum"`` or ``"none"``.

    Returns:
        scalar, or shape (P,) for ``"none"``.

    Example:
        >>> import torch
        >>> preference_loss(torch.tensor([2.0]), torch.tensor([0.0]), torch.tensor([1.0]))
        tensor(0.1269)
    """
    logit = at_least_float32(scale * (distance_a - distance_b))
    loss = F.binary_cross_entropy_with_logits(logit, preference.to(logit), reduction="none")
    return reduce_loss(loss, reduction, None if weight is None else weight.to(loss))


def comparable_pairs(
    severity: Tensor, ties: str = "skip", include_healthy: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """All pairs of a batch whose grades can be compared.

    Args:
        severity: grades of shape (N,): 0 healthy, 1, 2, ... worse; negative for an ungraded image, which is in no pair.
        ties: pairs of equal grade are left out (``"skip"``), are equally bad (``"half"``, preference 0.5) or get
            preference 0 (``"zero"``, what the earlier ConPrO code did: it teaches a false order).
        include_healthy: whether healthy images are compared too; the paper compares anomalous ones only.

    Returns:
        indices a and b with a < b, and the preference, each of shape (P,).

    Example:
        >>> import torch
        >>> [t.tolist() for t in comparable_pairs(torch.tensor([0, 2, 1, -1, 1]))]
        [[1, 1], [2, 4], [1.0, 1.0]]
    """
    look_up_option(ties, TIES)
    candidate = (severity >= (0 if include_healthy else 1)).nonzero().squeeze(1)
    first, second = torch.triu_indices(len(candidate), len(candidate), offset=1, device=severity.device)
    a, b = candidate[first], candidate[second]
    preference = (severity[a] > severity[b]).to(torch.get_default_dtype())
    tie = severity[a] == severity[b]
    if ties == "skip":
        return a[~tie], b[~tie], preference[~tie]
    if ties == "half":
        preference = preference.masked_fill(tie, 0.5)
    return a, b, preference


def batch_preference_loss(
    distance: Tensor,
    severity: Tensor,
    scale: float = 1.0,
    ties: str = "skip",
    balance: str = "grade",
    include_healthy: bool = False,
    reduction: LossReduction | str = "mean",
) -> Tensor:
    """Eq. 3 of SEMISE over all comparable pairs of a batch (see :func:`preference_loss`).

    A large batch is summed in time and memory linear in N, see
    :func:`~monai_semise.losses.preference_moments.preference_moments_loss`; a small one pair by pair, as is one whose
    scale is so steep that the moments were more than the images, and ``"none"``.

    Args:
        distance: distance of each image from the healthy reference, shape (N,).
        severity: grade of each image, integers of shape (N,); negative when ungraded.
        scale: see :func:`preference_loss`.
        ties: see :func:`comparable_pairs`.
        balance: ``"grade"`` lets every pair of grades count the same whatever the class balance, ``"none"`` every
            pair of images.
        include_healthy: see :func:`comparable_pairs`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        scalar, or shape (P,) for ``"none"``. 0 when no two images can be compared.

    Example:
        >>> import torch
        >>> batch_preference_loss(torch.tensor([0.1, 0.3, 0.9]), torch.tensor([0, 1, 2]))
        tensor(0.4375)
    """
    look_up_option(balance, BALANCES)
    look_up_option(ties, TIES)
    compared = severity >= (0 if include_healthy else 1)
    if LossReduction(reduction) != LossReduction.NONE and compared.sum() >= _FEWEST_FOR_MOMENTS:
        loss = preference_moments_loss(distance[compared], severity[compared], scale, ties, balance, reduction)
        if loss is not None:
            return loss
    a, b, preference = comparable_pairs(severity, ties, include_healthy)
    weight = None
    if balance == "grade" and len(a):
        weight = balanced_weights(unordered_groups(severity[a], severity[b]))
    return preference_loss(distance[a], distance[b], preference, weight, scale, reduction)


class PreferenceLoss(_Loss):
    """Module form of :func:`preference_loss` and :func:`batch_preference_loss`, on embeddings.

    In a distributed run, the all-pairs form compares the images of all ranks; explicit pairs are those of all ranks.

    Args:
        scale: see :func:`preference_loss`.
        ties: see :func:`comparable_pairs`.
        balance: see :func:`batch_preference_loss`; has no effect on explicit pairs.
        include_healthy: see :func:`comparable_pairs`; has no effect on explicit pairs.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Example:
        >>> import torch
        >>> loss = PreferenceLoss()
        >>> healthy, embeddings = torch.tensor([1.0, 0.0]), torch.tensor([[1.0, 0.1], [0.0, 1.0]])
        >>> loss(embeddings, torch.tensor([1, 2]), healthy) < loss(embeddings, torch.tensor([2, 1]), healthy)
        tensor(True)
    """

    def __init__(
        self,
        scale: float = 1.0,
        ties: str = "skip",
        balance: str = "grade",
        include_healthy: bool = False,
        reduction: LossReduction | str = LossReduction.MEAN,
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if not scale > 0:
            raise ValueError(f"scale must be above 0, got {scale}")
        self.scale = scale
        self.ties = look_up_option(ties, TIES)
        self.balance = look_up_option(balance, BALANCES)
        self.include_healthy = include_healthy

    def forward(
        self,
        input: Tensor,
        target: Tensor,
        reference: Tensor,
        pairs: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """
        Args:
            input: embeddings of shape (N, D).
            target: without ``pairs``, the severity of each image, shape (N,), negative when ungraded; with them, the
                preference of each pair, shape (P,), in [0, 1].
            reference: the healthy reference, shape (D,).
            pairs: rows (a, b) of indices into ``input``, shape (P, 2).
            weight: weight of each explicit pair, shape (P,); given on all ranks or on none.
        """
        distance = cosine_distance(input, reference)
        if pairs is not None:
            a, b = pairs.unbind(1)
            return preference_loss(
                gather_with_gradient(distance[a]),
                gather_with_gradient(distance[b]),
                gather_with_gradient(target),
                None if weight is None else gather_with_gradient(weight),
                self.scale,
                self.reduction,
            )
        return batch_preference_loss(
            gather_with_gradient(distance),
            gather_with_gradient(target),
            self.scale,
            self.ties,
            self.balance,
            self.include_healthy,
            self.reduction,
        )
