# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
import torch.distributed as dist
from monai.metrics import CumulativeIterationMetric
from monai.utils import evenly_divisible_all_gather
from torch import Tensor

from monai_semise.utils import world_size

__all__ = ["WholeSetMetric"]


class WholeSetMetric(CumulativeIterationMetric):
    """A metric of the whole data set: collects predictions and targets of all ranks, then computes once.

    Targets are grades of shape (N,), or rows (grade, item index) of shape (N, 2). With the index, an item that came
    twice counts once, such as those that a distributed sampler repeats to give every rank as many.

    Subclasses implement :meth:`compute`.
    """

    def _compute_tensor(self, y_pred: Tensor, y: Tensor | None = None, **kwargs: Any) -> list[Tensor]:
        if y is None or len(y_pred) != len(y):
            raise ValueError(
                f"{type(self).__name__}: y_pred and y must have one row an image, got "
                f"{tuple(y_pred.shape)} and {None if y is None else tuple(y.shape)}"
            )
        if y.ndim > 2 or (y.ndim == 2 and y.shape[1] > 2):
            raise ValueError(
                f"{type(self).__name__}: y must be grades (N,) or rows (grade, item index), got shape {tuple(y.shape)}"
            )
        return [y_pred, y]

    def _sync(self) -> None:
        if self._synced or world_size() == 1:
            return super()._sync()
        # MONAI's gather leaves out a rank without a batch, for which the others then wait: it must join them with
        # nothing, in the shape that they have
        layouts: list[Any] = [None] * world_size()
        own = None if self._buffers is None else [(rows[0].shape, rows[0].dtype) for rows in self._buffers]
        dist.all_gather_object(layouts, own)
        layout = next((found for found in layouts if found is not None), None)
        if own is not None or layout is None:
            return super()._sync()
        self._synced_tensors = [
            evenly_divisible_all_gather(torch.empty((0, *shape), dtype=dtype), concat=True) for shape, dtype in layout
        ]
        self._synced = True

    def aggregate(self) -> Tensor:
        """The metric over everything seen since the last :meth:`reset`, on all ranks.

        Raises:
            ValueError: when nothing was collected on any rank.
        """
        buffers: Any = self.get_buffer()
        if buffers is None:
            raise ValueError(f"{type(self).__name__}: nothing to aggregate, no batch was collected")
        return torch.as_tensor(self.compute(*self._each_item_once(*buffers)))

    def _each_item_once(self, y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of distinct items, in the order of their index; all rows when they carry none."""
        if y.ndim < 2 or y.shape[1] < 2:
            return y_pred, y
        items, place = torch.unique(y[:, 1], return_inverse=True)
        rows = torch.arange(len(y), device=y.device)
        first = rows.new_empty(len(items)).scatter_reduce_(0, place, rows, "amin", include_self=False)
        if not torch.equal(y[first][place], y):
            raise ValueError(f"{type(self).__name__}: one item index came with two grades; give each data set its own")
        return y_pred[first], y[first]

    @abstractmethod
    def compute(self, y_pred: Tensor, y: Tensor) -> Tensor | float:
        """The metric on all rows at once."""
