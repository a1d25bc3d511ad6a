# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["log_sum_exp_of_others"]

# rows of a tile. CPU: measured, a float32 tile of 1 MB stays in the cache of a core; accelerators: few launches
_TILE = {"cpu": 512}
_TILE_OF_ACCELERATORS = 4096


def log_sum_exp_of_others(rows: Tensor, temperature: float) -> Tensor:
    r"""Log-sum-exp of each row's products with all other rows, in memory that is linear in their number.

    .. math::
        l_i = \log \sum_{k \neq i} \exp(z_i \cdot z_k / \tau)

    The products are symmetric: they are made in square tiles, of which only those on and above the diagonal are
    computed, and each serves its rows and its columns. The backward pass computes the tiles anew. Up to one tile, 512
    rows on the CPU, that is the dense matrix. Autocast is switched off inside, backward too.

    Twice differentiable; a second derivative keeps all tiles, in memory of order N².

    Args:
        rows: vectors of shape (N, D), float32 or float64.
        temperature: :math:`\tau > 0`.

    Returns:
        tensor of shape (N,); minus infinity where there is no other row.

    Example:
        >>> import torch
        >>> log_sum_exp_of_others(torch.eye(3), temperature=0.5)
        tensor([0.6931, 0.6931, 0.6931])
    """
    return _LogSumExpOfOthers.apply(rows, temperature, _TILE.get(rows.device.type, _TILE_OF_ACCELERATORS))


class _LogSumExpOfOthers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, temperature: float, tile: int) -> Tensor:
        with torch.autocast(device_type=rows.device.type, enabled=False):
            total = rows.new_full((len(rows),), -torch.inf)
            for i, j in _upper_tiles(len(rows), tile):
                logits = (rows[i] / temperature) @ rows[j].T
                if i == j:
                    logits.fill_diagonal_(-torch.inf)
                else:
                    total[j] = torch.logaddexp(total[j], logits.logsumexp(dim=0))
                total[i] = torch.logaddexp(total[i], logits.logsumexp(dim=1))
        ctx.save_for_backward(rows, total)
        ctx.temperature, ctx.tile = temperature, tile
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        rows, total = ctx.saved_tensors
        with torch.autocast(device_type=rows.device.type, enabled=False):
            gradient, pulled = gradients[0] / ctx.temperature, torch.zeros_like(rows)
            for i, j in _upper_tiles(len(rows), ctx.tile):
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


def _upper_tiles(n: int, tile: int) -> list[tuple[slice, slice]]:
    blocks = [slice(start, start + tile) for start in range(0, n, tile)]
    return [(i, j) for index, i in enumerate(blocks) for j in blocks[index:]]
