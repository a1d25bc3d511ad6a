# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from monai_semise.utils import gather_with_gradient
from monai_semise.utils.heads import PREFERENCE

__all__ = ["GradeLogitsLoss"]


class GradeLogitsLoss(nn.Module):
    """Give a loss on logits and grades what it needs from the output of a :class:`GradingNet
    <monai_semise.methods.grading_net.GradingNet>`. Ungraded images are left out.

    In a distributed run the loss is that of the graded images of all ranks.

    Args:
        loss: takes logits of shape (N, D) and grades of shape (N,), such as ``torch.nn.CrossEntropyLoss``.

    Attributes:
        terms: value of the loss at the last call, for the log.

    Example:
        >>> import torch
        >>> loss = GradeLogitsLoss(nn.CrossEntropyLoss())
        >>> loss(torch.zeros(1, 3, 2, 4), {"severity": torch.tensor([0, 3, -1])})
        tensor(1.3863)
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: logits of shape (V, N, H, D).
            target: ``"severity"``, integers of shape (N,), negative when ungraded.
        """
        logits = gather_with_gradient(input[:, :, PREFERENCE].flatten(0, 1)).float()
        grades = gather_with_gradient(target["severity"].repeat(len(input)))
        graded = grades >= 0
        # the sum of nothing keeps the graph, where the mean of nothing would be no number
        value = self.loss(logits[graded], grades[graded]) if graded.any() else logits[graded].sum()
        self.terms = {"loss": value.detach()}
        return value
