# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.engines import PrepareBatch
from monai.utils import look_up_option
from torch import Tensor

from monai_semise.utils import plain_tensor

__all__ = ["PrepareSeverityBatch"]

VIEWS = ("original", "augmented")


class PrepareSeverityBatch(PrepareBatch):
    """Turn a collated batch into views of its distinct images and what is known of their severity.

    An image that several pairs name is kept, and later encoded, once: repeated, it would be its own false negative in
    NT-Xent.

    Args:
        views: the views to make of each image, each ``"original"`` or ``"augmented"``. Phase 2 of the paper takes one
            of each. A batch of :class:`monai_semise.data.TwoViewDataset` brings its two views along; ``views`` then
            has no effect.
        augment: maps a batch (N, C, *spatial) on the device to an augmented one, such as
            :class:`monai_semise.transforms.RandBatchAugment`; needed for ``"augmented"``.

    Example:
        >>> import torch
        >>> batch = {"image": torch.rand(3, 1, 8, 8), "severity": torch.tensor([0, 2, 2]), "index": torch.arange(3)}
        >>> images, target = PrepareSeverityBatch(["original", "augmented"], augment=torch.flipud)(batch)
        >>> images.shape, target["severity"].tolist()
        (torch.Size([2, 3, 1, 8, 8]), [0, 2, 2])
    """

    def __init__(self, views: Sequence[str] = ("original",), augment: Callable[[Tensor], Tensor] | None = None) -> None:
        self.views = [look_up_option(view, VIEWS) for view in views]
        if "augmented" in self.views and augment is None:
            raise ValueError('an "augmented" view needs `augment`')
        self.augment = augment

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """
        Args:
            batchdata: ``image`` (N, C, *spatial), ``severity`` (N,), ``index`` (N,), and what
                :class:`monai_semise.data.PairDataset` or :class:`monai_semise.data.TwoViewDataset` add.
            device: where the tensors go.
            non_blocking: see :meth:`torch.Tensor.to`.
            kwargs: further arguments of :meth:`torch.Tensor.to`.

        Returns:
            views of shape (V, N', C, *spatial) of the N' distinct images, and the target of
            :class:`monai_semise.losses.SemiseLoss`, with the ``index`` of each image.
        """

        def place(value: Tensor, **conversion: Any) -> Tensor:
            return plain_tensor(value).to(device=device, non_blocking=non_blocking, **conversion)

        distinct, position = _distinct(batchdata["index"])
        target = {field: place(torch.as_tensor(batchdata[field])[distinct]) for field in ("severity", "index")}
        if "role" in batchdata:
            a, b = (torch.tensor([r == side for r in batchdata["role"]]) for side in ("a", "b"))
            target["pairs"] = place(torch.stack([position[a], position[b]], dim=1))
            for field in ("preference", "weight"):
                target[field] = place(torch.as_tensor(batchdata[field])[a].float())

        image = place(batchdata["image"][distinct], **kwargs)
        if "image_2" in batchdata:
            return torch.stack([image, place(batchdata["image_2"][distinct], **kwargs)]), target
        views = [self.augment(image) if view == "augmented" and self.augment else image for view in self.views]
        return torch.stack(views), target


def _distinct(index: Tensor) -> tuple[Tensor, Tensor]:
    """Rows in which each distinct index is met first, and for every row the position of its index among them."""
    first: dict[int, int] = {}
    position = [first.setdefault(i, len(first)) for i in index.tolist()]
    rows = {p: row for row, p in reversed(list(enumerate(position)))}
    return torch.tensor([rows[p] for p in range(len(first))]), torch.tensor(position)
