# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor, nn

from monai_semise.losses.cosine import cosine_similarity_matrix, unit_vectors

__all__ = ["Prototypes"]


class Prototypes(nn.Module):
    """Directions that are learned: what a projection is compared with, in SwAV and DINO.

    Args:
        embedding_dim: dimension D of an embedding.
        n_prototypes: how many, K.

    Example:
        >>> Prototypes(embedding_dim=8, n_prototypes=5)(torch.randn(2, 8)).shape
        torch.Size([2, 5])
    """

    def __init__(self, embedding_dim: int, n_prototypes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(unit_vectors(torch.randn(n_prototypes, embedding_dim)))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Cosine similarity of embeddings (N, D) with each prototype, shape (N, K), never below float32."""
        return cosine_similarity_matrix(embeddings, self.weight)
