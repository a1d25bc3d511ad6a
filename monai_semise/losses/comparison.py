# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from monai_semise.losses.semise import SemiseLoss
from monai_semise.utils.heads import PROJECTION

__all__ = ["ComparisonLoss"]


class ComparisonLoss(SemiseLoss):
    """SEMISE's phase 2 (Eq. 4) on comparisons alone: the reference is the network's own, no image need be healthy.

    For :class:`monai_semise.networks.LearnedReferenceNet`, which puts its reference in the place of every projection.

    Args:
        arguments: those of :class:`SemiseLoss`; what it says of grades has no effect.

    Example:
        >>> import torch
        >>> loss = ComparisonLoss(alpha=0.0)
        >>> embeddings = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])[None]  # image 0 lies far
        >>> pairs = {"severity": torch.tensor([-1, -1]), "pairs": torch.tensor([[0, 1]])}
        >>> right, wrong = (loss(embeddings, {**pairs, "preference": torch.tensor([p])}) for p in (1.0, 0.0))
        >>> bool(right < wrong)
        True
    """

    def _reference(self, graded_view: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        return graded_view[0, PROJECTION]
