# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from monai_semise.losses.cosine import cosine_similarity_matrix

__all__ = ["info_nce_loss"]


def info_nce_loss(queries: Tensor, keys: Tensor, temperature: float, negatives: Tensor | None = None) -> Tensor:
    r"""InfoNCE (van den Oord et al. 2018, arXiv 1807.03748): find the key of a query among others.

    .. math::
        L = \frac{1}{N} \sum_i -\log \frac{\exp(\cos(q_i, k_i) / \tau)}
            {\sum_j \exp(\cos(q_i, k_j) / \tau) + \sum_n \exp(\cos(q_i, n) / \tau)}

    Never below float32.

    Args:
        queries: shape (N, D).
        keys: the positive of each query, a negative of the others, shape (N, D).
        temperature: :math:`\tau > 0`.
        negatives: further ones, shape (K, D).

    Example:
        >>> info_nce_loss(torch.eye(3), torch.eye(3), temperature=1.0)
        tensor(0.5514)
    """
    others = keys if negatives is None else torch.cat([keys, negatives.to(keys.dtype)])
    logits = cosine_similarity_matrix(queries, others) / temperature
    return F.cross_entropy(logits, torch.arange(len(queries), device=queries.device))
