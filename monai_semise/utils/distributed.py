# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Collectives that keep gradients, and who is who among the ranks.

Convention of this package: every rank has the loss of the *whole* gathered batch. The backward pass of the gather
sums the gradients over the ranks, and ``DistributedDataParallel`` averages the parameter gradients, so the result
equals one process with the whole batch. What costs the square of the batch is shared out: each rank computes a part,
:func:`sum_over_ranks` joins them, and only the sum of the ranks' gradients is that of the whole.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = [
    "first_of_ranks",
    "gather_with_gradient",
    "is_main_process",
    "largest_of_ranks",
    "rank",
    "share_buffers",
    "sum_over_ranks",
    "unwrap",
    "world_size",
]


def world_size() -> int:
    """Number of processes in the default group; 1 outside a distributed run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Rank of this process in the default group; 0 outside a distributed run."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def is_main_process() -> bool:
    """Whether this process is the one that writes files."""
    return rank() == 0


def unwrap(network: nn.Module) -> Any:
    """The network inside ``DistributedDataParallel`` or ``DataParallel``, or the network itself."""
    return getattr(network, "module", network)


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        padded = local.new_zeros((max(sizes), *local.shape[1:]))
        padded[: local.shape[0]] = local
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # a copy: the incoming gradient may be another branch's too, and all_reduce writes in place
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return torch.split(total, ctx.sizes)[rank()], None


def gather_with_gradient(local: Tensor) -> Tensor:
    """Concatenate ``local`` of all ranks along the first axis, in rank order, keeping gradients.

    Args:
        local: tensor of shape (n_r, ...); n_r may differ between ranks, the other axes may not.

    Returns:
        tensor of shape (sum of n_r, ...). Outside a distributed run, ``local`` itself.
    """
    if world_size() == 1:
        return local
    size = torch.tensor([local.shape[0]], device=local.device)
    sizes = [torch.empty_like(size) for _ in range(world_size())]
    dist.all_gather(sizes, size)
    return _AllGather.apply(local, [int(n) for n in sizes])


def first_of_ranks(index: Tensor) -> Tensor:
    """Which rows are of an image that no lower rank has, so that each image of a gathered batch is taken once.

    Args:
        index: which image each row of this rank is of, integers that differ, shape (N,).

    Returns:
        shape (N,), bool; all of them outside a distributed run.
    """
    ranks, indices = (gather_with_gradient(values) for values in (torch.full_like(index, rank()), index))
    return ~torch.isin(index, indices[ranks < rank()])


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        total = part.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # type: ignore[override]  # the decorator hides the names
        return grad_outputs[0] * world_size()


def sum_over_ranks(part: Tensor) -> Tensor:
    """Sum what each rank has computed of the loss of a gathered batch.

    Args:
        part: what this rank adds, of the same shape on all ranks, from tensors of :func:`gather_with_gradient`.

    Returns:
        the sum, the same on all ranks. Its gradient counts once for every rank, as that of a loss which all of them
        compute whole; it has no second derivative. Outside a distributed run, ``part`` itself.
    """
    return part if world_size() == 1 else _SumOverRanks.apply(part)


def largest_of_ranks(value: Tensor) -> Tensor:
    """Elementwise maximum over the ranks, without gradient; outside a distributed run, that of this process."""
    largest = value.detach().clone(memory_format=torch.contiguous_format)
    if world_size() > 1:
        dist.all_reduce(largest, dist.ReduceOp.MAX)
    return largest


def share_buffers(network: nn.Module) -> None:
    """Give all ranks the buffers of rank 0, such as the running statistics of batch normalization that is not
    synchronized; nothing outside a distributed run."""
    if world_size() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)
