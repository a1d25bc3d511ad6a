# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from monai_semise.methods.momentum_teacher import MomentumTeacher
from monai_semise.methods.projection_net import ProjectionNet
from monai_semise.methods.prototypes import Prototypes
from monai_semise.methods.view_gathering import gather_views
from monai_semise.utils.heads import PROJECTION

__all__ = ["DinoLoss", "DinoNet"]

STUDENT = 0  # heads of the output in training
TEACHER = 1


class _OutputNet(ProjectionNet):
    """A projection compared with prototypes: what student and teacher of DINO have alike."""

    def __init__(self, backbone: str, spatial_dims: int, in_channels: int, embedding_dim: int, n_outputs: int) -> None:
        super().__init__(backbone, spatial_dims, in_channels, embedding_dim)
        self.prototypes = Prototypes(embedding_dim, n_outputs)

    def forward(self, image: Tensor) -> Tensor:
        """The outputs (N, K) in training, the projection, twice, (N, 2, D), in evaluation."""
        projection = super().forward(image)
        return self.prototypes(projection[:, PROJECTION]) if self.training else projection


class DinoNet(_OutputNet):
    """Student and teacher of DINO.

    Args:
        backbone: see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        embedding_dim: dimension D of the projection.
        n_outputs: dimensions K that the outputs are distributions over.
        momentum: of the teacher, see :class:`monai_semise.methods.momentum_teacher.MomentumTeacher`.
        n_steps: of the run, over which the momentum rises to 1.
        loss: the loss of the run, whose center belongs into the checkpoints of the network.

    Example:
        >>> network = DinoNet("resnet10", embedding_dim=32, n_outputs=100)
        >>> network(torch.rand(4, 1, 64, 64)).shape, network.eval()(torch.rand(4, 1, 64, 64)).shape
        (torch.Size([4, 2, 100]), torch.Size([4, 2, 32]))
    """

    encodes_images_apart = False

    def __init__(
        self,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        in_channels: int = 1,
        embedding_dim: int = 256,
        n_outputs: int = 65536,
        momentum: float = 0.996,
        n_steps: int | None = None,
        loss: nn.Module | None = None,
    ) -> None:
        super().__init__(backbone, spatial_dims, in_channels, embedding_dim, n_outputs)
        self.teacher = MomentumTeacher(
            _OutputNet(backbone, spatial_dims, in_channels, embedding_dim, n_outputs), momentum, n_steps
        )
        self.loss = loss

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: batch of shape (N, in_channels, *spatial).

        Returns:
            in training, the outputs of student and teacher, shape (N, 2, K); in evaluation, the student's projection,
            twice, shape (N, 2, D).
        """
        output = super().forward(image)
        if not self.training:
            return output
        self.teacher.follow(self)
        return torch.stack([output, self.teacher(image)], dim=1)


class DinoLoss(nn.Module):
    r"""The loss of DINO (Caron et al. 2021, arXiv 2104.14294): the student takes on the teacher's distribution.

    .. math::
        L = -\frac{1}{2N} \sum_i \sum_k
            \mathrm{softmax}_k((t_{j(i)} - c) / \tau_t) \log \mathrm{softmax}_k(s_i / \tau_s)

    Centering (c, a moving mean of the teacher's outputs, at first that of the first batch) keeps one dimension from
    winning everywhere, sharpening (:math:`\tau_t < \tau_s`) keeps the outputs from becoming uniform.

    Args:
        n_outputs: dimensions K.
        temperature: :math:`\tau_s`.
        teacher_temperature: :math:`\tau_t`.
        center_momentum: share of the old center at each step.

    Attributes:
        center: buffer of shape (K,).
        terms: value of the loss at the last call, and the mean entropy of the teacher's distributions (log K when they
            are uniform), for the log.

    Example:
        >>> loss = DinoLoss(n_outputs=10)
        >>> loss(torch.randn(2, 4, 2, 10), {}).shape, bool(loss.center.any())
        (torch.Size([]), True)
    """

    def __init__(
        self,
        n_outputs: int,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        center_momentum: float = 0.9,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.teacher_temperature = teacher_temperature
        self.center_momentum = center_momentum
        self.register_buffer("center", torch.zeros(n_outputs))
        self.register_buffer("has_center", torch.zeros((), dtype=torch.bool))
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: outputs of two views, shape (2, N, 2, K), heads as of :class:`DinoNet`; the center moves.
            target: not used.
        """
        views = gather_views(input).float()
        student, teacher = views[:, :, STUDENT], views[:, :, TEACHER].detach()
        mean = teacher.mean(dim=(0, 1))
        if not self.has_center:
            self.center.copy_(mean)
            self.has_center.fill_(True)
        logits = ((teacher - self.center) / self.teacher_temperature).log_softmax(dim=2)
        learned = (student / self.temperature).log_softmax(dim=2)
        value = -(logits.exp().flip(0) * learned).sum(dim=2).mean()
        self.center.lerp_(mean, 1 - self.center_momentum)
        entropy = -(logits.exp() * logits).sum(dim=2).mean()
        self.terms = {"loss": value.detach(), "teacher_entropy": entropy}
        return value
