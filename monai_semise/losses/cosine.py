# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor

from monai_semise.utils import at_least_float32

__all__ = ["cosine_distance", "cosine_similarity_matrix", "unit_vectors"]

_EPS = 1e-8


def unit_vectors(input: Tensor) -> Tensor:
    """Scale the last axis to length 1, in at least float32.

    Args:
        input: embeddings of shape (..., D), any floating type. float16 and bfloat16 become float32.

    Returns:
        tensor of the same shape. A vector shorter than 1e-8 has no direction: it becomes zero and gets no gradient,
        which would overflow otherwise.
    """
    vectors = at_least_float32(input)
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / length.masked_fill(length < _EPS, torch.inf)


def cosine_distance(input: Tensor, other: Tensor) -> Tensor:
    r"""Cosine distance :math:`d = 1 - \cos(a, b)` along the last axis.

    Args:
        input: embeddings of shape (..., D).
        other: embeddings whose shape broadcasts with ``input``.

    Returns:
        distances of the broadcast shape without the last axis, in [0, 2]: 0 same direction, 1 orthogonal, 2 opposite.

    Example:
        >>> import torch
        >>> cosine_distance(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([1.0, 0.0]))
        tensor([0., 1.])
    """
    return 1 - (unit_vectors(input) * unit_vectors(other)).sum(dim=-1)


def cosine_similarity_matrix(input: Tensor, other: Tensor) -> Tensor:
    """Cosine similarity of every row of ``input`` with every row of ``other``, never below float32.

    Autocast is switched off inside: a matrix product in half precision would lose the small differences that a low
    temperature magnifies.

    Args:
        input: embeddings of shape (N, D).
        other: embeddings of shape (M, D).

    Returns:
        tensor of shape (N, M), values in [-1, 1].
    """
    with torch.autocast(device_type=input.device.type, enabled=False):
        return unit_vectors(input) @ unit_vectors(other).T
