# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["balanced_weights"]


def balanced_weights(groups: Tensor) -> Tensor:
    """Weights that make every group count the same, with mean 1.

    Args:
        groups: group of each pair, integers of shape (P,).

    Returns:
        float weights of shape (P,): ``P / (number of groups * size of the group)``.

    Example:
        >>> import torch
        >>> balanced_weights(torch.tensor([0, 0, 0, 1]))
        tensor([0.6667, 0.6667, 0.6667, 2.0000])
    """
    _, group, count = torch.unique(groups, return_inverse=True, return_counts=True)
    return groups.numel() / (count.numel() * count[group].to(torch.get_default_dtype()))
