# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.utils import look_up_option
from torch import Tensor, nn

from monai_semise.networks import SeverityClassifier, SeverityNet
from monai_semise.utils.heads import PREFERENCE

__all__ = ["GradingNet"]

HEADS = ("softmax", "corn")


class GradingNet(SeverityNet):
    """An encoder with a linear layer to the grades, trained end to end: what pretraining is compared with.

    The logits stand in the place of the embeddings, in both heads. Distance to healthy images would mean little among
    logits, so the severity score is the expected grade instead, and the healthy reference is not read.

    Args:
        n_grades: number of grades K.
        backbone: see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        head: ``"softmax"`` or ``"corn"``, see :class:`monai_semise.networks.SeverityClassifier`.

    Example:
        >>> network = GradingNet(5, "resnet10").eval()
        >>> logits = network(torch.rand(2, 1, 64, 64))  # images, heads, grades
        >>> logits.shape, network.severity(logits).shape
        (torch.Size([2, 2, 5]), torch.Size([2]))
    """

    def __init__(
        self,
        n_grades: int,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        in_channels: int = 1,
        head: str = "softmax",
    ) -> None:
        ordinal = look_up_option(head, HEADS) == "corn"
        n_logits = n_grades - int(ordinal)
        super().__init__(backbone, spatial_dims, in_channels, n_logits)
        self.ordinal = ordinal
        self.head = nn.Linear(self.n_features, n_logits)

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: batch of shape (N, in_channels, *spatial).

        Returns:
            the logits, twice: shape (N, 2, K), or (N, 2, K - 1) with the ordinal head.
        """
        logits = self.head(self.features(image))
        return torch.stack([logits, logits], dim=1)

    def severity(self, embeddings: Tensor) -> Tensor:
        """Severity score: the expected grade.

        Args:
            embeddings: output of ``forward``, shape (N, H, D).

        Returns:
            scores of shape (N,), in [0, K - 1], float32.
        """
        logits = embeddings[:, PREFERENCE].float()
        if self.ordinal:  # the sum over k of P(grade > k)
            return logits.sigmoid().cumprod(dim=1).sum(dim=1)
        return SeverityClassifier.expected_grade(logits.softmax(dim=1))
