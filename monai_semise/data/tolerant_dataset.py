# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from monai_semise.utils import find_semise_error

__all__ = ["TolerantDataset"]


class TolerantDataset(Dataset):
    """Items of which some may be unreadable: these come as a blank image with the reason in ``error``.

    A blank image keeps batches whole, so that one bad file neither stops nor shifts the others; whoever reads the
    result looks at ``error`` first.

    Args:
        data: items with an ``image``.
        transform: reads and prepares one item; what it cannot use raises a
            :class:`~monai_semise.utils.SemiseError`.
        blank_shape: shape of the prepared images, (C, *spatial).

    Example:
        >>> from monai_semise.utils import SemiseError
        >>> def read(item):
        ...     raise SemiseError("a.png: cannot be read as an image")
        >>> item = TolerantDataset([{"image": "a.png", "index": 0}], read, (1, 8, 8))[0]
        >>> item["error"], item["image"].shape
        ('a.png: cannot be read as an image', torch.Size([1, 8, 8]))
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        blank_shape: Sequence[int],
    ) -> None:
        self.data = data
        self.transform = transform
        self.blank_shape = tuple(blank_shape)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.data[index]
        known = {key: item[key] for key in ("severity", "index") if key in item}
        try:
            return {"image": self.transform(item)["image"], "image_path": str(item["image"]), "error": "", **known}
        except Exception as error:
            reason = find_semise_error(error)  # MONAI's Compose wraps it
            if reason is None:
                raise
            blank = torch.zeros(self.blank_shape)
            return {"image": blank, "image_path": str(item["image"]), "error": str(reason), **known}
