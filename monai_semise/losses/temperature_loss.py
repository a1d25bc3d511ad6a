# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from abc import abstractmethod

from monai.utils import LossReduction
from torch import Tensor
from torch.nn.modules.loss import _Loss

from monai_semise.utils import gather_with_gradient

__all__ = ["TemperatureLoss"]


class TemperatureLoss(_Loss):
    """Base of losses that compare all embeddings of a batch with each other, at a temperature.

    In a distributed run, the batch is that of all ranks.

    Args:
        temperature: divides the similarities, above 0.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: when the temperature is not above 0.
    """

    def __init__(self, temperature: float, reduction: LossReduction | str = LossReduction.MEAN) -> None:
        super().__init__(reduction=LossReduction(reduction).value)
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.temperature = temperature

    @abstractmethod
    def compare(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of a gathered batch; arguments as of :meth:`forward`."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """
        Args:
            input: embeddings of this rank, shape (N, D).
            target: what they are compared by, as the subclass says, N first.
        """
        return self.compare(gather_with_gradient(input), gather_with_gradient(target))
