# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from monai_semise.data.epoch import SharedEpoch
from monai_semise.data.pairs import PreferencePair
from monai_semise.utils import InputError, plain_tensor

__all__ = ["PairDataset"]


class PairDataset(Dataset):
    """Explicit preference pairs over a dataset of images, as in the paper.

    Item ``n`` is a list of dictionaries: the two images of pair ``n`` and, for the reference, healthy images. MONAI's
    ``list_data_collate`` lays the lists of a batch end to end, and
    :class:`monai_semise.engines.PrepareSeverityBatch` keeps each distinct image once and turns the pairs into indices
    into the batch, so that this way of sampling feeds the same loss as in-batch pairs.

    Args:
        dataset: MONAI ``Dataset``, ``CacheDataset``, ``PersistentDataset``, ... of dictionaries with ``index`` and
            ``severity``; item ``i`` of it must have ``index`` i.
        pairs: which images to compare, see :func:`monai_semise.data.draw_preference_pairs` and
            :func:`monai_semise.data.read_pairs`.
        healthy: indices of healthy images, from which the references are drawn.
        n_references: healthy images that go with each pair; the mean over a batch is the reference. The paper takes 1.
        seed: seed of the draw of the references, which differs from epoch to epoch.

    Raises:
        InputError: without a pair, or without a healthy image.
    """

    def __init__(
        self,
        dataset: Sequence[Mapping[str, Any]] | Dataset,
        pairs: Sequence[PreferencePair],
        healthy: Sequence[int],
        n_references: int = 1,
        seed: int = 0,
    ) -> None:
        if not pairs:
            raise InputError("PairDataset: no pair to learn from")
        if not healthy:
            raise InputError("PairDataset: no healthy image (severity 0) to serve as reference")
        self.dataset = dataset
        self.pairs = pairs
        self.healthy = healthy
        self.n_references = n_references
        self.seed = seed
        self._epoch = SharedEpoch()

    def set_epoch(self, epoch: int) -> None:
        """Draw other references from now on; to be called before the loader's iterator is made."""
        self._epoch.set(epoch)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> list[dict[str, Any]]:
        pair = self.pairs[index]
        random = np.random.default_rng((self.seed, int(self._epoch), index))
        drawn = random.integers(len(self.healthy), size=self.n_references)
        members = [pair.a, pair.b, *(self.healthy[k] for k in drawn)]
        roles = ("a", "b", *("reference" for _ in range(self.n_references)))
        labels = {"preference": float(pair.preference), "weight": float(pair.weight)}
        return [{**self._item(member), **labels, "role": role} for member, role in zip(members, roles)]

    def _item(self, index: int) -> dict[str, Any]:
        # a PersistentDataset brings MONAI's metadata when it writes an item, but not when it reads one; an image that
        # a batch names twice could then not be collated
        return {key: plain_tensor(value) for key, value in self.dataset[index].items()}
