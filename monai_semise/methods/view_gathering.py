# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from torch import Tensor

from monai_semise.utils import gather_with_gradient

__all__ = ["gather_views"]


def gather_views(input: Tensor) -> Tensor:
    """The views of all ranks, keeping gradients; outside a distributed run ``input`` itself.

    Args:
        input: shape (V, n_r, ...) on each rank.

    Returns:
        tensor of shape (V, sum of n_r, ...).
    """
    return gather_with_gradient(input.transpose(0, 1)).transpose(0, 1)
