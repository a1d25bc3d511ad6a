# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss

__all__ = ["DiceCrossEntropyLoss"]


class DiceCrossEntropyLoss(_Loss):
    """Dice loss plus cross-entropy of masks that may overlap, or exclude each other.

    MONAI's :class:`~monai.losses.DiceCELoss` fits one structure, or several that exclude each other: from two channels
    on, its cross-entropy is that of a softmax, also where Dice takes the sigmoid of each.

    Args:
        exclusive: False, each structure by itself (sigmoid, binary cross-entropy); True, each pixel belongs to one
            structure at most (softmax over the background and the structures).
        batch: whether Dice is taken over all images of a batch at once, as if they were one; otherwise of each image,
            where a structure that is absent has a Dice loss near 1 whatever is predicted.

    Attributes:
        terms: the two terms of the last call, detached.

    Example:
        >>> import torch
        >>> masks = torch.zeros(2, 3, 8, 8)
        >>> masks[:, 1, :4] = 1
        >>> round(float(DiceCrossEntropyLoss()(100 * masks - 50, masks)), 3)
        0.0
    """

    def __init__(self, exclusive: bool = False, batch: bool = True) -> None:
        super().__init__()
        self.exclusive = exclusive
        self.dice = DiceLoss(
            include_background=not exclusive, sigmoid=not exclusive, softmax=exclusive, batch=batch, reduction="mean"
        )
        self.cross_entropy = nn.CrossEntropyLoss() if exclusive else nn.BCEWithLogitsLoss()
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """
        Args:
            input: logits of shape (N, S, *spatial); with ``exclusive`` (N, 1 + S, *spatial), the background first.
            target: masks of 0 and 1, shape (N, S, *spatial).

        Returns:
            scalar, float32.
        """
        logits, target = input.float(), target.float()
        if self.exclusive:
            target = torch.cat([1 - target.amax(dim=1, keepdim=True), target], dim=1)
        dice, cross_entropy = self.dice(logits, target), self.cross_entropy(logits, target)
        self.terms = {"dice_loss": dice.detach(), "cross_entropy": cross_entropy.detach()}
        return dice + cross_entropy
