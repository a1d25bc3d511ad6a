# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.utils.data import Dataset

from monai_semise.engines.embed import embed_images
from monai_semise.utils import unwrap
from monai_semise.utils.heads import PROJECTION

__all__ = ["update_healthy_reference"]


def update_healthy_reference(
    network: nn.Module, dataset: Dataset, healthy: Sequence[int], batch_size: int = 64, num_workers: int = 0
) -> None:
    """Store the mean projection of healthy training images in the network.

    Args:
        network: a :class:`monai_semise.networks.SemiseNet`, bare or wrapped.
        dataset: training images, not augmented.
        healthy: positions of healthy images in it.
        batch_size: images at a time.
        num_workers: loader processes.
    """
    embedded = embed_images(network, dataset, healthy, batch_size, num_workers=num_workers)
    unwrap(network).set_healthy_reference(embedded.embeddings[:, PROJECTION].mean(dim=0))
