# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor

from monai_semise.methods.momentum_teacher import MomentumTeacher
from monai_semise.methods.projection_net import ProjectionNet, mlp
from monai_semise.utils.heads import PROJECTION

__all__ = ["PREDICTION", "TARGET", "PredictorNet"]

PREDICTION = 0  # heads of the output in training
TARGET = 1


class PredictorNet(ProjectionNet):
    """A student that predicts, of one view, what its teacher makes of the other: the network of BYOL and MoCo v3.

    Args:
        backbone: see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        embedding_dim: dimension D of projection and prediction.
        momentum: of the teacher, see :class:`monai_semise.methods.momentum_teacher.MomentumTeacher`.
        n_steps: of the run, over which the momentum rises to 1.

    Example:
        >>> network = PredictorNet("resnet10", embedding_dim=32)
        >>> embeddings = network(torch.rand(4, 1, 64, 64))
        >>> embeddings.shape, embeddings[:, PREDICTION].requires_grad
        (torch.Size([4, 2, 32]), True)
    """

    encodes_images_apart = False

    def __init__(
        self,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        in_channels: int = 1,
        embedding_dim: int = 256,
        momentum: float = 0.996,
        n_steps: int | None = None,
    ) -> None:
        super().__init__(backbone, spatial_dims, in_channels, embedding_dim)
        self.predictor = mlp(embedding_dim, self.n_features, embedding_dim)
        self.teacher = MomentumTeacher(
            ProjectionNet(backbone, spatial_dims, in_channels, embedding_dim), momentum, n_steps
        )

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: batch of shape (N, in_channels, *spatial).

        Returns:
            in training, the student's prediction and the teacher's projection, shape (N, 2, D); in evaluation, the
            student's projection, twice.
        """
        projection = super().forward(image)
        if not self.training:
            return projection
        self.teacher.follow(self)
        target = self.teacher(image)[:, PROJECTION]
        return torch.stack([self.predictor(projection[:, PROJECTION]), target], dim=1)
