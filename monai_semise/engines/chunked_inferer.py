# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from monai_semise.utils import InputError, batch_norms, unwrap

__all__ = ["ChunkedInferer"]


class ChunkedInferer(Inferer):
    """Encode a batch in chunks and compute each anew in the backward pass, so that memory is that of one chunk.

    The loss still sees the embeddings of the whole batch, and its gradient is exact (gradient caching, Gao et al. 2021,
    arXiv 2101.06983; here each chunk is a checkpoint of :func:`torch.utils.checkpoint.checkpoint`). It costs a second
    forward pass. Random layers repeat their draws.

    Batch normalization is the exception: it normalizes with the statistics of the chunk, so the result is that of the
    whole batch only with ``frozen_norm``. The chunk is then what its batch size was before; its running statistics move
    once for each chunk. ``SyncBatchNorm`` takes the statistics of that chunk on all processes.

    Args:
        chunk_size: images at a time; None encodes the whole batch at once.
        frozen_norm: whether batch normalization uses its running statistics, and leaves them as they are: for an
            encoder that was trained before.

    Raises:
        ValueError: when ``chunk_size`` is less than 1.

    Example:
        >>> network = torch.nn.Linear(3, 5)
        >>> ChunkedInferer(chunk_size=2)(torch.rand(7, 3), network).shape
        torch.Size([7, 5])
    """

    def __init__(self, chunk_size: int | None = None, frozen_norm: bool = False) -> None:
        super().__init__()
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
        self.chunk_size = chunk_size
        self.frozen_norm = frozen_norm

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """
        Args:
            inputs: images of shape (N, C, *spatial).
            network: maps each image by itself, (N, C, *spatial) to (N, ...).

        Returns:
            output of the network, (N, ...).

        Raises:
            InputError: when the network cannot be given its batch in parts.
        """

        def norm() -> AbstractContextManager[None]:
            return _frozen_norm(network) if self.frozen_norm else nullcontext()

        with norm():
            if self.chunk_size is None or len(inputs) <= self.chunk_size or not torch.is_grad_enabled():
                return network(inputs, *args, **kwargs)
            bare = unwrap(network)
            if not getattr(bare, "encodes_images_apart", True):
                raise InputError(f"chunk_size: {type(bare).__name__} must see its batch as a whole; leave it out")
            chunks = [
                checkpoint(
                    network,
                    chunk,
                    *args,
                    use_reentrant=False,
                    context_fn=lambda: (nullcontext(), _recomputation(network, norm())),
                    **kwargs,
                )
                for chunk in inputs.split(self.chunk_size)
            ]
        return torch.cat(chunks)


@contextmanager
def _frozen_norm(network: nn.Module) -> Iterator[None]:
    """Batch normalization in evaluation mode."""
    training = [norm for norm in batch_norms(network) if norm.training]
    for norm in training:
        norm.eval()
    try:
        yield
    finally:
        for norm in training:
            norm.train()


@contextmanager
def _recomputation(network: nn.Module, norm: AbstractContextManager[None]) -> Iterator[None]:
    """A chunk met for the second time does not move the running statistics again."""
    tracking = [module for module in batch_norms(network) if module.track_running_stats]
    kept = [{name: value.clone() for name, value in module.named_buffers(recurse=False)} for module in tracking]
    try:
        with norm:
            yield
    finally:  # torch ends a recomputation by an exception, as soon as it has what it needs
        for module, buffers in zip(tracking, kept):
            for name, value in buffers.items():
                getattr(module, name).copy_(value)
