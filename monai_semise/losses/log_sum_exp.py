# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from monai_semise.utils import largest_of_ranks, rank, sum_over_ranks, world_size

__all__ = ["log_sum_exp_of_others"]

# rows of a tile. CPU: measured, a float32 tile of 1 MB stays in the cache of a core; accelerators: few launches
_TILE = {"cpu": 512}
_TILE_OF_ACCELERATORS = 4096
_TILES_OF_A_RANK = 4  # or more, lest some ranks wait for others


def log_sum_exp_of_others(rows: Tensor, temperature: float, shared: bool = False) -> Tensor:
    r"""Log-sum-exp of each row's products with all other rows, in memory that is linear in their number.

    .. math::
        l_i = \log \sum_{k \neq i} \exp(z_i \cdot z_k / \tau)

    The products are symmetric: they are made in square tiles, of which only those on and above the diagonal are
    computed, and each serves its rows and its columns. The backward pass computes the tiles anew. Up to one tile, 512
    rows on the CPU, that is the dense matrix. Autocast is switched off inside, backward too.

    Twice differentiable, unless shared; a second derivative keeps all tiles, in memory of order N².

    Args:
        rows: vectors of shape (N, D), float32 or float64.
        temperature: :math:`\tau > 0`.
        shared: whether these are the rows of all ranks of a distributed run, gathered by
            :func:`monai_semise.utils.gather_with_gradient`; beyond one tile, the ranks then share the tiles out.

    Returns:
        tensor of shape (N,); minus infinity where there is no other row.

    Example:
        >>> import torch
        >>> log_sum_exp_of_others(torch.eye(3), temperature=0.5)
        tensor([0.6931, 0.6931, 0.6931])
    """
    n, tile = len(rows), _TILE.get(rows.device.type, _TILE_OF_ACCELERATORS)
    if n <= tile or not shared or world_size() == 1:
        return _LogSumExpOfOthers.apply(rows, temperature, _upper_tiles(n, tile))
    n_blocks = math.ceil(math.sqrt(2 * _TILES_OF_A_RANK * world_size()))
    tiles = _upper_tiles(n, min(tile, math.ceil(n / n_blocks)))
    part = _LogSumExpOfOthers.apply(rows, temperature, tiles[rank() :: world_size()])
    largest = largest_of_ranks(part)
    return largest + sum_over_ranks((part - largest).exp()).log()


_Tile = tuple[slice, slice]


class _LogSumExpOfOthers(torch.autograd.Function):
    """Over the products of some tiles; a row that is in none has minus infinity."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, temperature: float, tiles: list[_Tile]) -> Tensor:
        with torch.autocast(device_type=rows.device.type, enabled=False):
            total = rows.new_full((len(rows),), -torch.inf)
            for i, j in tiles:
                logits = (rows[i] / temperature) @ rows[j].T
                if i == j:
                    logits.fill_diagonal_(-torch.inf)
                else:
                    total[j] = torch.logaddexp(total[j], logits.logsumexp(dim=0))
                total[i] = torch.logaddexp(total[i], logits.logsumexp(dim=1))
        ctx.save_for_backward(rows, total)
        ctx.temperature, ctx.tiles = temperature, tiles
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        rows, total = ctx.saved_tensors
        with torch.autocast(device_type=rows.device.type, enabled=False):
            gradient, pulled = gradients[0] / ctx.temperature, torch.zeros_like(rows)
            for i, j in ctx.tiles:
                logits = (rows[i] / ctx.temperature) @ rows[j].T
                share = (logits - total[i, None]).exp() * gradient[i, None]
                if i == j:
                    share.fill_diagonal_(0)
                    share = share + share.T
                else:
                    share = share + (logits - total[j]).exp() * gradient[j]
                    pulled[j] += share.T @ rows[i]
                pulled[i] += share @ rows[j]
        return pulled, None, None


def _upper_tiles(n: int, tile: int) -> list[_Tile]:
    blocks = [slice(start, start + tile) for start in range(0, n, tile)]
    return [(i, j) for index, i in enumerate(blocks) for j in blocks[index:]]
