# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["balanced_weights", "unordered_groups"]


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


def unordered_groups(labels_a: Tensor, labels_b: Tensor) -> Tensor:
    """One number for each unordered pair of labels, such as the groups of :func:`balanced_weights`.

    Args:
        labels_a: label of the first image of each pair, integers of at least 0, shape (P,).
        labels_b: label of the second one, shape (P,).

    Returns:
        integers of shape (P,), equal where the two labels are, in either order.

    Example:
        >>> import torch
        >>> unordered_groups(torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1])).tolist()
        [1, 1, 3]
    """
    if not labels_a.numel():
        return labels_a
    low, high = torch.minimum(labels_a, labels_b), torch.maximum(labels_a, labels_b)
    return low * (high.max() + 1) + high
