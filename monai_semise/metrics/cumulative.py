# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric
from torch import Tensor

__all__ = ["WholeSetMetric"]


class WholeSetMetric(CumulativeIterationMetric):
    """A metric of the whole data set: collects predictions and targets of all ranks, then computes once.

    Subclasses implement :meth:`compute`.
    """

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> list[Tensor]:
        if y is None or len(y_pred) != len(y):
            raise ValueError(
                f"{type(self).__name__}: y_pred and y must have one row an image, got "
                f"{tuple(y_pred.shape)} and {None if y is None else tuple(y.shape)}"
            )
        return [y_pred, y]

    def aggregate(self) -> Tensor:
        """The metric over everything seen since the last :meth:`reset`.

        Raises:
            ValueError: when nothing was collected.
        """
        buffers: Any = self.get_buffer()
        if buffers is None:
            raise ValueError(f"{type(self).__name__}: nothing to aggregate, no batch was collected")
        return torch.as_tensor(self.compute(*buffers))

    @abstractmethod
    def compute(self, y_pred: Tensor, y: Tensor) -> Tensor | float:
        """The metric on all rows at once."""
