# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["batch_norms", "norm_momentum"]


def batch_norms(network: nn.Module) -> list[_BatchNorm]:
    """The batch normalizations of a network, of any number of axes, synchronized ones among them."""
    return [module for module in network.modules() if isinstance(module, _BatchNorm)]


@contextmanager
def norm_momentum(network: nn.Module, momentum: float) -> Iterator[None]:
    """Within the block, let batch normalization move its running statistics with this momentum.

    Args:
        network: whose batch normalizations are meant.
        momentum: 0 leaves the statistics as they are, 1 takes those of the batch for them.

    Example:
        >>> import torch
        >>> norm = nn.BatchNorm1d(1)
        >>> with norm_momentum(norm, 1.0):
        ...     _ = norm(torch.tensor([[2.0], [4.0]]))
        >>> norm.running_mean, norm.momentum
        (tensor([3.]), 0.1)
    """
    norms = batch_norms(network)
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = momentum
    try:
        yield
    finally:
        for norm, own in zip(norms, before):
            norm.momentum = own
