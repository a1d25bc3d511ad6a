# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

from torch.utils.data import Dataset

from monai_semise.engines.embed import embed_images
from monai_semise.networks import SeverityClassifier

__all__ = ["encode_items"]


def encode_items(
    network: SeverityClassifier, dataset: Dataset, batch_size: int = 64, num_workers: int = 0
) -> list[dict[str, Any]]:
    """Pass every image through a frozen encoder once, so that training its head takes seconds.

    Args:
        network: a :class:`monai_semise.networks.SeverityClassifier` with a frozen encoder, which takes features in
            place of images.
        dataset: dictionaries with ``image``, ``severity`` and ``index``.
        batch_size: images at a time.
        num_workers: loader processes.

    Returns:
        the items with ``image`` replaced by its features, shape (C,).

    Raises:
        ValueError: when the encoder is not frozen: what it makes of an image would change with training.
    """
    if not network.frozen:
        raise ValueError("encode_items: the encoder is not frozen, so its features cannot be kept")
    if not len(dataset):  # pyrefly: ignore [bad-argument-type]
        return []
    encoded = embed_images(network, dataset, None, batch_size, num_workers=num_workers, embed=network.features)
    return [
        {"image": features, "severity": severity, "index": index}
        for index, severity, features in zip(encoded.index.tolist(), encoded.severity.tolist(), encoded.embeddings)
    ]
