# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, apply_transform
from monai.utils import look_up_option
from torch.utils.data import Dataset

from monai_semise.data.epoch import SharedEpoch
from monai_semise.utils import plain_tensor

__all__ = ["TwoViewDataset"]

VIEWS = ("original", "augmented")


class TwoViewDataset(Dataset):
    """Two views of each image, made by random transforms, MONAI's or torch's, item by item.

    The draw depends on the seed, the epoch, the item and the view alone: it differs between items, views and epochs,
    and repeats exactly whatever the number of workers and after a restart. (A dataset that is ``Randomizable`` itself
    hides its transforms from MONAI's ``DataLoader``, which then never seeds them anew; so this one is not.)

    For two views made on the device, a batch at a time, see :class:`monai_semise.engines.PrepareSeverityBatch`; that
    is faster.

    Args:
        dataset: MONAI ``Dataset``, ``CacheDataset``, ``PersistentDataset``, ... of dictionaries, deterministic.
        transform: random dictionary transform, such as a ``Compose`` of MONAI's ``Rand*d``.
        views: what the two views are, each ``"original"`` or ``"augmented"``; the paper takes one of each.
        key: key of the image; the second view goes to ``f"{key}_2"``.
        seed: seed of the draws.

    Example:
        >>> import torch
        >>> from monai.transforms import RandGaussianNoised
        >>> data = [{"image": torch.zeros(1, 4, 4), "severity": 0}]
        >>> views = TwoViewDataset(data, RandGaussianNoised("image", prob=1.0))
        >>> bool((views[0]["image"] == 0).all()), bool((views[0]["image_2"] == 0).all())
        (True, False)
    """

    def __init__(
        self,
        dataset: Sequence[Mapping[str, Any]] | Dataset,
        transform: Callable[[dict[str, Any]], dict[str, Any]],
        views: Sequence[str] = ("original", "augmented"),
        key: str = "image",
        seed: int = 0,
    ) -> None:
        if len(views) != 2:
            raise ValueError(f"views names two views, got {views!r}")
        self.dataset = dataset
        self.transform = transform
        self.views = [look_up_option(view, VIEWS) for view in views]
        self.key = key
        self.seed = seed
        self._epoch = SharedEpoch()

    def set_epoch(self, epoch: int) -> None:
        """Make other draws from now on; to be called before the loader's iterator is made."""
        self._epoch.set(epoch)

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = dict(self.dataset[index])
        # without MONAI's metadata, which a PersistentDataset brings for some items only: they could not be collated
        first, second = (plain_tensor(self._view(item, index, n)[self.key]) for n in range(2))
        return {**item, self.key: first, f"{self.key}_2": second}

    def _view(self, item: dict[str, Any], index: int, n: int) -> dict[str, Any]:
        if self.views[n] == "original":
            return item
        seed = int(np.random.SeedSequence((self.seed, int(self._epoch), index, n)).generate_state(1)[0])
        if isinstance(self.transform, Randomizable):
            self.transform.set_random_state(seed=seed)
        # for transforms that draw from torch's own generator, whose state outside stays as it was
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return apply_transform(self.transform, copy(item))  # type: ignore[return-value]
