# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor, nn

from monai_semise.losses.cosine import unit_vectors

__all__ = ["KeyQueue"]


class KeyQueue(nn.Module):
    """The last embeddings seen, as unit vectors: a ring of fixed size, in buffers, so that checkpoints hold it.

    Args:
        size: how many it holds.
        embedding_dim: dimension D of an embedding.

    Attributes:
        ring: buffer of shape (size, D), float32.
        count: buffer, how many were pushed.

    Example:
        >>> queue = KeyQueue(size=3, embedding_dim=2)
        >>> queue.push(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
        >>> queue.keys().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, size: int, embedding_dim: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"a queue holds at least 1 key, got size {size}")
        self.register_buffer("ring", torch.zeros(size, embedding_dim))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    @property
    def full(self) -> bool:
        """Whether the next key replaces one."""
        return int(self.count) >= len(self.ring)

    def keys(self) -> Tensor:
        """A copy of what was pushed and is not yet replaced, shape (at most size, D)."""
        return self.ring[: int(self.count)].clone()

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replace the oldest keys.

        Args:
            keys: shape (N, D), of any length; all ranks push the same ones.
        """
        rows = (self.count + torch.arange(len(keys), device=keys.device)) % len(self.ring)
        kept = slice(-len(self.ring), None)  # of more keys than it holds, the last
        self.ring[rows[kept]] = unit_vectors(keys[kept]).to(self.ring.dtype)
        self.count += len(keys)
