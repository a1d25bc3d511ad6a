# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from monai_semise.utils import InputError, world_size
from monai_semise.utils import rank as current_rank

__all__ = ["GradeBalancedBatchSampler", "ShuffledBatchSampler"]


class GradeBalancedBatchSampler(Sampler[list[int]]):
    """Batches of distinct images with all grades alike, healthy references always, and ungraded images mixed in.

    All pairs inside such a batch can be compared while each image is encoded once. Of ``batch_size`` images,
    ``healthy_fraction`` are healthy (at least one), ``unlabelled_fraction`` ungraded, and the anomalous grades share
    the rest equally; each has a place before ungraded images get theirs. A grade with fewer images than its share
    gives them all, and the others fill up. Within a grade, images come in shuffled order, and all of them before one
    comes again.

    The order depends on the seed and the epoch alone. In a distributed run every rank draws the same batch and takes
    its slice, so that N processes see what one would.

    Args:
        severity: grade of each image, 0 = healthy, negative = ungraded.
        batch_size: images in a batch, over all ranks.
        healthy_fraction: share of healthy images, in (0, 1).
        unlabelled_fraction: share of ungraded images, in [0, 1), 0 for none; None takes their share in the data.
        n_batches: batches in an epoch; None takes as many as hold every image once on average (ungraded ones
            only if they are mixed in).
        seed: seed of the order.
        num_replicas: number of ranks; None asks ``torch.distributed``.
        rank: this rank; None asks ``torch.distributed``.

    Raises:
        InputError: when there is no healthy or no anomalous image, or the batch is too small to hold both.

    Warns:
        UserWarning: when a batch is too small to hold every grade; the highest ones are in it.

    Example:
        >>> sampler = GradeBalancedBatchSampler([0, 0, 0, 1, 1, 1, 2, -1], batch_size=4, seed=0)
        >>> batch = next(iter(sampler))
        >>> len(batch), len(set(batch))
        (4, 4)
    """

    def __init__(
        self,
        severity: Sequence[int],
        batch_size: int,
        healthy_fraction: float = 0.25,
        unlabelled_fraction: float | None = None,
        n_batches: int | None = None,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        grades = np.asarray(severity, dtype=np.int64)
        self.images = {int(grade): np.flatnonzero(grades == grade) for grade in np.unique(grades[grades >= 0])}
        if np.any(grades < 0):
            self.images[-1] = np.flatnonzero(grades < 0)
        if 0 not in self.images:
            raise InputError("GradeBalancedBatchSampler: no healthy image (severity 0) to serve as reference")
        if max(self.images) == 0:
            raise InputError("GradeBalancedBatchSampler: no anomalous image (severity 1 or more)")
        if not 0 < healthy_fraction < 1:
            raise ValueError(f"healthy_fraction must lie in (0, 1), got {healthy_fraction}")
        if unlabelled_fraction is None:
            unlabelled_fraction = float(np.mean(grades < 0))
        if not 0 <= unlabelled_fraction < 1:
            raise ValueError(f"unlabelled_fraction must lie in [0, 1), got {unlabelled_fraction}")
        self.num_replicas = world_size() if num_replicas is None else num_replicas
        self.rank = current_rank() if rank is None else rank
        if batch_size < max(2, self.num_replicas):
            raise InputError(
                f"batch_size: {batch_size} is too small for a healthy and an anomalous image on "
                f"{self.num_replicas} process(es); give at least {max(2, self.num_replicas)}"
            )
        self.seed = seed
        self.epoch = 0
        self.quota = self._quota(min(batch_size, len(grades)), healthy_fraction, unlabelled_fraction)
        known = [grade for grade in sorted(self.images) if grade >= 0]
        never = [grade for grade in known if grade not in self.quota]
        if never:
            warnings.warn(
                f"batch_size: {batch_size} is too small for an image of every grade; those of severity "
                f"{', '.join(map(str, never))} take no part. Give at least {len(known)}"
            )
        if sum(self.quota.values()) < self.num_replicas:
            raise InputError(
                f"GradeBalancedBatchSampler: {sum(self.quota.values())} image(s) are too few for "
                f"{self.num_replicas} processes; start fewer processes"
            )
        n_images = sum(len(self.images[grade]) for grade in self.quota)
        self.n_batches = -(-n_images // sum(self.quota.values())) if n_batches is None else n_batches

    def _quota(self, batch_size: int, healthy_fraction: float, unlabelled_fraction: float) -> dict[int, int]:
        """Images of each grade in a batch (-1: ungraded)."""
        available = {grade: len(images) for grade, images in self.images.items()}
        anomalous = [grade for grade in sorted(available) if grade > 0]
        room = max(0, batch_size - 1 - len(anomalous))  # beside one image of every grade
        n_ungraded = min(available.get(-1, 0), round(batch_size * unlabelled_fraction), room)
        n_healthy = min(round(batch_size * healthy_fraction), 1 + room - n_ungraded)
        quota = {-1: n_ungraded, 0: min(available[0], max(1, n_healthy)), **dict.fromkeys(anomalous, 0)}
        # one at a time to whoever has least, so that grades differ by at most one unless they run out
        for candidates in (anomalous, [0], [-1] if unlabelled_fraction else []):
            while sum(quota.values()) < batch_size:
                open_grades = [grade for grade in candidates if quota[grade] < available.get(grade, 0)]
                if not open_grades:
                    break
                quota[min(reversed(open_grades), key=lambda grade: quota[grade])] += 1
        return {grade: n for grade, n in quota.items() if n}

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch; to be called before the loader's iterator is made."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        queues = {grade: np.empty(0, dtype=np.int64) for grade in self.quota}
        for _ in range(self.n_batches):
            batch: list[int] = []
            for grade, n in self.quota.items():
                if len(queues[grade]) < n:
                    # what is left of the last round goes first; the new round brings it again only afterwards
                    fresh = random.permutation(self.images[grade])
                    repeated = np.isin(fresh, queues[grade])
                    queues[grade] = np.concatenate([queues[grade], fresh[~repeated], fresh[repeated]])
                batch.extend(int(image) for image in queues[grade][:n])
                queues[grade] = queues[grade][n:]
            # shuffled, so that a slice by rank does not always take the same grades
            yield [batch[k] for k in random.permutation(len(batch))][self.rank :: self.num_replicas]


class ShuffledBatchSampler(Sampler[list[int]]):
    """Batches of all images in shuffled order, whatever their grade: for methods that know none.

    The order depends on the seed and the epoch alone. In a distributed run every rank takes its slice of each batch. An
    epoch has only whole batches, but for a data set smaller than one.

    Args:
        n_images: how many there are.
        batch_size: images in a batch, over all ranks.
        seed: seed of the order.
        num_replicas: number of ranks; None asks ``torch.distributed``.
        rank: this rank; None asks ``torch.distributed``.

    Raises:
        InputError: when there are fewer images than ranks.

    Example:
        >>> [len(batch) for batch in ShuffledBatchSampler(10, batch_size=4)]
        [4, 4]
    """

    def __init__(
        self,
        n_images: int,
        batch_size: int,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        self.num_replicas = world_size() if num_replicas is None else num_replicas
        self.rank = current_rank() if rank is None else rank
        self.n_images = n_images
        self.batch_size = min(batch_size, n_images)
        if self.batch_size < self.num_replicas:
            raise InputError(
                f"batch_size: {self.batch_size} image(s) in a batch are too few for {self.num_replicas} process(es)"
            )
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch; to be called before the loader's iterator is made."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n_images // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.n_images)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield order[start : start + self.batch_size][self.rank :: self.num_replicas].tolist()
