# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.utils import LossReduction, look_up_option
from torch import Tensor
from torch.nn.modules.loss import _Loss

from monai_semise.losses.balance import balanced_weights, unordered_groups
from monai_semise.losses.cosine import cosine_distance, cosine_similarity_matrix
from monai_semise.losses.reduction import reduce_loss
from monai_semise.utils import gather_with_gradient

__all__ = ["MarginContrastiveLoss", "batch_margin_contrastive_loss", "margin_contrastive_loss"]


def _margin_terms(distance: Tensor, similar: Tensor, margin: float) -> Tensor:
    similar = similar.to(distance.dtype)
    return 0.5 * (similar * distance**2 + (1 - similar) * (margin - distance).clamp_min(0) ** 2)


def margin_contrastive_loss(
    input: Tensor, other: Tensor, similar: Tensor, margin: float = 1.0, reduction: LossReduction | str = "mean"
) -> Tensor:
    r"""Margin contrastive loss over explicit pairs: Eq. 1 of SEMISE (the pairwise loss of Hadsell et al., 2006).

    .. math::
        L = \frac{1}{2N} \sum_i y_i D_i^2 + (1 - y_i) \max(0, m - D_i)^2, \qquad D_i = 1 - \cos(a_i, b_i)

    Args:
        input: first embeddings of the pairs, shape (N, D).
        other: second embeddings of the pairs, shape (N, D).
        similar: 1 for a similar pair, 0 for a dissimilar one, shape (N,).
        margin: cosine distance, in (0, 2], beyond which a dissimilar pair costs nothing. 1 asks for orthogonality.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        scalar, or shape (N,) for ``"none"``.

    Example:
        >>> import torch
        >>> a, b = torch.eye(2), torch.eye(2)
        >>> margin_contrastive_loss(a, b, similar=torch.tensor([1, 0]))
        tensor(0.2500)
    """
    distance = cosine_distance(input, other)
    if similar.shape != distance.shape:
        raise ValueError(
            f"similar must have one value a pair, shape {tuple(distance.shape)}, got {tuple(similar.shape)}"
        )
    return reduce_loss(_margin_terms(distance, similar, margin), reduction)


def batch_margin_contrastive_loss(
    input: Tensor,
    labels: Tensor,
    margin: float = 1.0,
    balance: str = "class",
    reduction: LossReduction | str = "mean",
) -> Tensor:
    r"""Eq. 1 of SEMISE over all pairs of a labelled batch: similar are two images of one class.

    Every embedding takes part in N - 1 pairs but is computed once, where explicit pairs compute it anew for each.

    Args:
        input: embeddings of shape (N, D).
        labels: class of each image, integers of shape (N,); a negative label marks an image without one, which is in
            no pair.
        margin: see :func:`margin_contrastive_loss`.
        balance: ``"class"`` lets every ordered pair of classes count the same, as when the classes of both images
            are drawn uniformly; ``"none"`` lets every pair of images count the same.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        scalar, or one weighted value a pair for ``"none"``, in the order of ``torch.triu_indices``. 0 when there is
        no pair.

    Example:
        >>> import torch
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> batch_margin_contrastive_loss(embeddings, torch.tensor([0, 0, 1]))
        tensor(0.)
    """
    look_up_option(balance, ("class", "none"))
    labelled = (labels >= 0).nonzero().squeeze(1)
    embeddings, labels = input[labelled], labels[labelled]
    first, second = torch.triu_indices(len(labels), len(labels), offset=1, device=labels.device)
    distance = 1 - cosine_similarity_matrix(embeddings, embeddings)[first, second]
    similar = labels[first] == labels[second]
    weight = None
    if balance == "class" and len(first):
        groups = unordered_groups(labels[first], labels[second])
        # a pair of unlike classes stands for both orders, hence counts twice
        weight = balanced_weights(groups).to(distance) * torch.where(similar, 1.0, 2.0).to(distance)
        weight = weight / weight.mean()
    return reduce_loss(_margin_terms(distance, similar, margin), reduction, weight)


class MarginContrastiveLoss(_Loss):
    """Module form of :func:`margin_contrastive_loss` and :func:`batch_margin_contrastive_loss`.

    In a distributed run, the all-pairs form pairs the images of all ranks; explicit pairs are those of all ranks.

    Args:
        margin: see :func:`margin_contrastive_loss`.
        balance: see :func:`batch_margin_contrastive_loss`; has no effect on explicit pairs.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Example:
        >>> import torch
        >>> loss = MarginContrastiveLoss(margin=1.0)
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> loss(embeddings, torch.tensor([0, 1, 1])).shape
        torch.Size([])
    """

    def __init__(
        self, margin: float = 1.0, balance: str = "class", reduction: LossReduction | str = LossReduction.MEAN
    ) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if not 0 < margin <= 2:
            raise ValueError(f"margin is a cosine distance in (0, 2], got {margin}")
        self.margin = margin
        self.balance = look_up_option(balance, ("class", "none"))

    def forward(self, input: Tensor, target: Tensor, other: Tensor | None = None) -> Tensor:
        """
        Args:
            input: embeddings of shape (N, D).
            target: without ``other``, the class of each image (negative: none); with it, 1 for similar and 0 for
                dissimilar. Shape (N,).
            other: second embeddings of explicit pairs, shape (N, D).
        """
        if other is not None:
            return margin_contrastive_loss(
                gather_with_gradient(input),
                gather_with_gradient(other),
                gather_with_gradient(target),
                self.margin,
                self.reduction,
            )
        return batch_margin_contrastive_loss(
            gather_with_gradient(input), gather_with_gradient(target), self.margin, self.balance, self.reduction
        )
