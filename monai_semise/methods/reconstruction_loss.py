# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from monai_semise.methods.masked_image_net import PIXELS, PREDICTION
from monai_semise.methods.view_gathering import gather_views

__all__ = ["ReconstructionLoss"]


class ReconstructionLoss(nn.Module):
    """Base of losses that compare the prediction of hidden pixels with what they are. A subclass adds :meth:`error`.

    Attributes:
        terms: value of the loss at the last call, for the log.
    """

    def __init__(self) -> None:
        super().__init__()
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: prediction and pixels of hidden patches, shape (V, N, 2, M, D), see
                :class:`monai_semise.methods.masked_image_net.MaskedImageNet`.
            target: not used.
        """
        error = self.error(input[:, :, PREDICTION].float(), input[:, :, PIXELS].float())
        value = gather_views(error.mean(dim=(2, 3))).mean()
        self.terms = {"loss": value.detach()}
        return value

    @abstractmethod
    def error(self, prediction: Tensor, pixels: Tensor) -> Tensor:
        """What is wrong with each pixel, shape (V, N, M, D)."""
