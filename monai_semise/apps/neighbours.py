# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import Dataset

from monai_semise.data.datalist import UNGRADED
from monai_semise.engines import embed_images
from monai_semise.utils import InputError, load_checkpoint, save_checkpoint

__all__ = ["Neighbour", "Neighbours", "save_neighbours"]


class Neighbour(NamedTuple):
    """A graded training image that lies near another one.

    Example:
        >>> Neighbour("a.png", severity=2, similarity=0.93).severity
        2
    """

    image: str
    severity: int
    similarity: float
    """Cosine of the angle between the embeddings, in [-1, 1]."""


def save_neighbours(
    path: str | os.PathLike,
    network: nn.Module,
    dataset: Dataset,
    items: Sequence[Mapping[str, Any]],
    batch_size: int = 64,
    num_workers: int = 0,
) -> None:
    """Keep the embeddings of the graded training images, for :class:`Neighbours`.

    Args:
        path: file to write.
        network: has ``embedding(image)`` of shape (N, D).
        dataset: training images, not augmented.
        items: their datalist items.
        batch_size: images at a time.
        num_workers: loader processes.
    """
    graded = [n for n, item in enumerate(items) if item["severity"] != UNGRADED]
    if not graded:  # learned from comparisons alone: no neighbour could tell a grade
        none = {"images": [], "severity": torch.empty(0, dtype=torch.long), "embedding": torch.empty(0, 0)}
        save_checkpoint(path, none)
        return
    embedded = embed_images(network, dataset, graded, batch_size, num_workers=num_workers, embed=network.embedding)  # type: ignore[arg-type]
    content = {
        "images": [str(items[n]["image"]) for n in graded],
        "severity": embedded.severity,
        "embedding": normalize(embedded.embeddings, dim=1),
    }
    save_checkpoint(path, content)


class Neighbours:
    """The graded training images nearest to others, by the cosine of their embeddings.

    Args:
        path: file of :func:`save_neighbours`.

    Raises:
        InputError: when it is missing or another file.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        content = load_checkpoint(path)
        try:
            self.images, self.severity = list(content["images"]), content["severity"].tolist()
            self.embedding = content["embedding"]
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: holds no embeddings of training images; train again") from error

    def nearest(self, embedding: Tensor, k: int = 3) -> list[list[Neighbour]]:
        """The k nearest training images of each of N embeddings (N, D), the nearest first; none if none is graded."""
        if not self.images:
            return [[] for _ in embedding]
        similarity = normalize(embedding.float().cpu(), dim=1) @ self.embedding.T
        values, indices = similarity.topk(min(k, len(self.images)), dim=1)
        return [
            [Neighbour(self.images[n], self.severity[n], round(value, 4)) for n, value in zip(*row)]
            for row in zip(indices.tolist(), values.tolist())
        ]
