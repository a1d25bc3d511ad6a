# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from monai.data import DataLoader
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from monai_semise.utils import plain_tensor, unwrap

__all__ = ["Embedded", "embed_images"]


class Embedded(NamedTuple):
    """Embeddings of a set of images, on the CPU."""

    index: Tensor
    """Index of each item, shape (N,)."""
    severity: Tensor
    """Grade of each item, negative when ungraded, shape (N,)."""
    embeddings: Tensor
    """Output of the network, shape (N, H, D), or what else was asked for, N first."""


def embed_images(
    network: nn.Module,
    dataset: Dataset,
    indices: Sequence[int] | None = None,
    batch_size: int = 64,
    device: str | torch.device | None = None,
    num_workers: int = 0,
    embed: Callable[[Tensor], Tensor] | None = None,
) -> Embedded:
    """Embed images with the network in evaluation mode; its mode is restored afterwards.

    Args:
        network: maps (N, C, *spatial) to (N, H, D).
        dataset: dictionaries with ``image``, ``severity`` and ``index``.
        indices: positions in the dataset to embed; None embeds all.
        batch_size: images at a time.
        device: where to compute; by default where the network lies.
        num_workers: loader processes.
        embed: what to compute from a batch of images, such as ``network.features``; by default ``network`` itself.

    Raises:
        ValueError: without an image.
    """
    network = unwrap(network)
    device = next(network.parameters()).device if device is None else device
    subset = dataset if indices is None else Subset(dataset, list(indices))
    loader = DataLoader(subset, batch_size=batch_size, num_workers=num_workers)
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    modes = [(module, module.training) for module in network.modules()]  # frozen parts may be in another mode
    network.eval()
    try:
        for batch in loader:
            with torch.inference_mode():  # not around the loader, whose dataset may keep what it loads
                embeddings = (embed or network)(plain_tensor(batch["image"]).to(device)).float().cpu()
            parts.append((batch["index"], batch["severity"], embeddings))
    finally:
        for module, training in modes:
            module.training = training
    if not parts:
        raise ValueError("embed_images: no image to embed")
    # cloned: tensors made in inference mode could not be saved for a backward pass later
    return Embedded(*(torch.cat(column).clone() for column in zip(*parts)))
