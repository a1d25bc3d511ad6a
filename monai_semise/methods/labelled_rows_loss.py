# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

from monai.utils import look_up_option
from torch import Tensor, nn

from monai_semise.utils.heads import CONTRAST

__all__ = ["LabelledRowsLoss"]

LABELS = ("grade", "anomaly")


class LabelledRowsLoss(nn.Module):
    """Give a loss on labelled embeddings what it needs from the output of a network of this package.

    The views of an image are rows of their own, under one label. An ungraded image keeps its -1.

    Args:
        loss: takes embeddings of shape (V * N, D) and labels of shape (V * N,), -1 for none, such as
            :class:`monai_semise.losses.SupervisedContrastiveLoss`.
        labels: what the label is: ``"grade"``, or ``"anomaly"``, 0 of a healthy image and 1 of any other.

    Attributes:
        terms: value of the loss at the last call, for the log.

    Example:
        >>> import torch
        >>> from monai_semise.losses import SupervisedContrastiveLoss
        >>> loss = LabelledRowsLoss(SupervisedContrastiveLoss(), labels="anomaly")
        >>> loss(torch.randn(2, 4, 2, 16), {"severity": torch.tensor([0, 1, 3, -1])}).shape
        torch.Size([])
    """

    def __init__(self, loss: nn.Module, labels: str = "grade") -> None:
        super().__init__()
        self.loss = loss
        self.labels = look_up_option(labels, LABELS)
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: embeddings of shape (V, N, H, D).
            target: ``"severity"``, integers of shape (N,), negative when ungraded.
        """
        severity = target["severity"]
        labels = severity.clamp(-1, 1) if self.labels == "anomaly" else severity
        value = self.loss(input[:, :, CONTRAST].flatten(0, 1), labels.repeat(len(input)))
        self.terms = {"loss": value.detach()}
        return value
