# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

__all__ = ["EpochSeedHandler"]


class EpochSeedHandler:
    """Make every epoch a function of the seed and its number alone.

    At the start of each epoch it seeds Python, NumPy and torch, and tells samplers and datasets the epoch. So a run
    that is killed and resumed at an epoch's end repeats what it would have done, with any number of loader workers,
    and nothing random needs to be in a checkpoint. (MONAI tells the epoch to a ``DistributedSampler`` only.)

    Args:
        seed: seed of the run.
        stream: number that sets phases of one run apart.
        targets: objects with ``set_epoch``: batch samplers, :class:`monai_semise.data.PairDataset`, ...

    In a distributed run, each rank draws its own augmentation.
    """

    def __init__(self, seed: int, stream: int = 0, targets: Sequence[Any] = ()) -> None:
        self.seed = seed
        self.stream = stream
        self.targets = [target for target in targets if hasattr(target, "set_epoch")]

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        rank = getattr(engine.state, "rank", 0)
        seed = int(np.random.SeedSequence((self.seed, self.stream, epoch, rank)).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        for target in self.targets:
            target.set_epoch(epoch)
