# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from monai_semise.methods.info_nce import info_nce_loss
from monai_semise.methods.key_queue import KeyQueue
from monai_semise.methods.momentum_teacher import MomentumTeacher
from monai_semise.methods.projection_net import ProjectionNet
from monai_semise.methods.view_gathering import gather_views
from monai_semise.utils.heads import CONTRAST

__all__ = ["MocoLoss", "MocoNet"]


class MocoNet(ProjectionNet):
    """The network of MoCo: the student encodes the first view (queries), its teacher the second (keys).

    The teacher normalizes with running statistics: with those of the batch, a query would know its key among the older
    ones of the queue by the batch that it is from. MoCo shuffles the images among GPUs against that, which needs
    several.

    Args:
        backbone: see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        embedding_dim: dimension D of the projection.
        momentum: of the teacher, see :class:`monai_semise.methods.momentum_teacher.MomentumTeacher`.
        loss: the loss of the run, whose queue belongs into the checkpoints of the network.

    Example:
        >>> network = MocoNet("resnet10", embedding_dim=32)
        >>> views = network(torch.rand(4, 1, 64, 64)).unflatten(0, (2, 2))
        >>> views.shape
        torch.Size([2, 2, 2, 32])
    """

    encodes_images_apart = False

    def __init__(
        self,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        in_channels: int = 1,
        embedding_dim: int = 256,
        momentum: float = 0.999,
        loss: nn.Module | None = None,
    ) -> None:
        super().__init__(backbone, spatial_dims, in_channels, embedding_dim)
        self.teacher = MomentumTeacher(
            ProjectionNet(backbone, spatial_dims, in_channels, embedding_dim), momentum, batch_statistics=False
        )
        self.loss = loss

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: shape (N, in_channels, *spatial); in training the first views of N / 2 images, then the second ones.

        Returns:
            the projection, twice: shape (N, 2, D); in training the student's of the first views, the teacher's of the
            second.
        """
        if not self.training:
            return super().forward(image)
        self.teacher.follow(self)
        first, second = image.chunk(2)
        return torch.cat([super().forward(first), self.teacher(second)])


class MocoLoss(nn.Module):
    """The loss of MoCo v2 (He et al. 2020, arXiv 1911.05722; Chen et al. 2020, arXiv 2003.04297): InfoNCE with a queue.

    The other keys of the batch are negatives too, and the queue starts empty. The original has neither, and fills the
    queue with random directions: in small runs the student learns to tell those from keys, by giving all images one.

    Args:
        queue_size: keys of earlier batches to tell a key from.
        embedding_dim: dimension D of an embedding.
        temperature: see :func:`monai_semise.methods.info_nce.info_nce_loss`.

    Attributes:
        terms: value of the loss at the last call, for the log.

    Example:
        >>> loss = MocoLoss(queue_size=16, embedding_dim=8)
        >>> loss(torch.randn(2, 4, 2, 8), {}).shape, loss.queue.count
        (torch.Size([]), tensor(4))
    """

    def __init__(self, queue_size: int, embedding_dim: int, temperature: float = 0.2) -> None:
        super().__init__()
        self.queue = KeyQueue(queue_size, embedding_dim)
        self.temperature = temperature
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: queries and keys, shape (2, N, H, D); the keys join the queue.
            target: not used.
        """
        queries, keys = gather_views(input)[:, :, CONTRAST]
        keys = keys.detach()
        value = info_nce_loss(queries, keys, self.temperature, self.queue.keys())
        self.queue.push(keys)
        self.terms = {"loss": value.detach()}
        return value
