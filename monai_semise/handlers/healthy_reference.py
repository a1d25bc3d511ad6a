# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

from ignite.engine import Engine, Events
from torch import nn
from torch.utils.data import Dataset

from monai_semise.engines import update_healthy_reference
from monai_semise.utils import share_buffers, unwrap

__all__ = ["HealthyReferenceHandler"]


class HealthyReferenceHandler:
    """Refresh the network's healthy reference before each validation, unless it is learned; in a distributed run, of
    the same network on all ranks, which take the buffers of rank 0.

    Args:
        network: see :func:`monai_semise.engines.update_healthy_reference`.
        dataset: see :func:`monai_semise.engines.update_healthy_reference`.
        healthy: positions of healthy images in it.
        limit: how many of them to take, evenly spaced; None takes all. The final reference is always of all.
        batch_size: images at a time.
        num_workers: loader processes.
    """

    def __init__(
        self,
        network: nn.Module,
        dataset: Dataset,
        healthy: Sequence[int],
        limit: int | None = 256,
        batch_size: int = 64,
        num_workers: int = 0,
    ) -> None:
        self.network = network
        self.dataset = dataset
        step = 1 if limit is None else max(1, -(-len(healthy) // limit))
        self.healthy = list(healthy)[::step]
        self.batch_size = batch_size
        self.num_workers = num_workers

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        share_buffers(self.network)
        if not unwrap(self.network).learns_reference:
            update_healthy_reference(self.network, self.dataset, self.healthy, self.batch_size, self.num_workers)
