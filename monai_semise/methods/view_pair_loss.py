# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from monai_semise.utils.heads import CONTRAST

__all__ = ["ViewPairLoss"]


class ViewPairLoss(nn.Module):
    """Give a loss on two views what it needs from the output of a network of this package.

    Args:
        loss: takes the embeddings of both views, each of shape (N, D), such as
            :class:`monai_semise.losses.NTXentLoss`.

    Attributes:
        terms: those of the loss at the last call, for the log, or its value where it has none.

    Example:
        >>> import torch
        >>> from monai_semise.losses import NTXentLoss
        >>> loss = ViewPairLoss(NTXentLoss())
        >>> loss(torch.randn(2, 8, 2, 16), {"severity": torch.zeros(8)}).shape
        torch.Size([])
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: embeddings of two views, shape (2, N, H, D).
            target: not read.
        """
        first, second = input[:, :, CONTRAST]
        value = self.loss(first, second)
        terms = getattr(self.loss, "terms", None)
        self.terms = terms if isinstance(terms, dict) else {"loss": value.detach()}
        return value
