# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monai_semise.methods.grade_logits_loss import GradeLogitsLoss
from monai_semise.methods.grading_net import GradingNet
from monai_semise.methods.momentum_teacher import MomentumTeacher
from monai_semise.methods.view_gathering import gather_views
from monai_semise.utils.heads import PREFERENCE

__all__ = ["MeanTeacherLoss", "MeanTeacherNet"]


class MeanTeacherNet(GradingNet):
    """Student and teacher of Mean Teacher: the student grades the first view, its teacher the second.

    Args:
        n_grades: number of grades K.
        backbone: see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        momentum: of the teacher, see :class:`monai_semise.methods.momentum_teacher.MomentumTeacher`.
        loss: the loss of the run, whose ramp-up belongs into the checkpoints of the network.

    Example:
        >>> network = MeanTeacherNet(5, "resnet10")
        >>> network(torch.rand(4, 1, 64, 64)).unflatten(0, (2, 2)).shape
        torch.Size([2, 2, 2, 5])
    """

    encodes_images_apart = False

    def __init__(
        self,
        n_grades: int,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        in_channels: int = 1,
        momentum: float = 0.999,
        loss: nn.Module | None = None,
    ) -> None:
        super().__init__(n_grades, backbone, spatial_dims, in_channels)
        self.teacher = MomentumTeacher(
            GradingNet(n_grades, backbone, spatial_dims, in_channels), momentum, ramp_up=True
        )
        self.loss = loss

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: shape (N, in_channels, *spatial); in training the first views of N / 2 images, then the second ones.

        Returns:
            the logits, twice, shape (N, 2, K); in training the student's of the first views, the teacher's of the
            second.
        """
        if not self.training:
            return super().forward(image)
        self.teacher.follow(self)
        first, second = image.chunk(2)
        return torch.cat([super().forward(first), self.teacher(second)])


class MeanTeacherLoss(nn.Module):
    r"""The loss of Mean Teacher (Tarvainen and Valpola 2017, arXiv 1703.01780): grades, and agreement with the teacher.

    .. math::
        L = \mathrm{CE}(s_i, y_i)_{i \text{ graded}}
            + w_t \frac{1}{NK} \sum_i \lVert \mathrm{softmax}(s_i) - \mathrm{softmax}(t_i) \rVert^2, \quad
        w_t = w \exp(-5 (1 - \min(t / T, 1))^2)

    Args:
        weight: w, of the consistency.
        ramp_up_steps: T, steps until the consistency has its full weight; 0 for at once.

    Attributes:
        step: buffer, how many steps there were.
        terms: both terms at the last call, without weight, for the log.

    Example:
        >>> loss = MeanTeacherLoss()
        >>> loss(torch.randn(2, 3, 2, 5), {"severity": torch.tensor([0, 4, -1])}).shape, sorted(loss.terms)
        (torch.Size([]), ['consistency', 'cross_entropy'])
    """

    def __init__(self, weight: float = 100.0, ramp_up_steps: int = 0) -> None:
        super().__init__()
        self.graded = GradeLogitsLoss(nn.CrossEntropyLoss())
        self.weight = weight
        self.ramp_up_steps = ramp_up_steps
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        self.terms: dict[str, Tensor] = {}

    def weight_at(self, step: int) -> float:
        """Weight of the consistency at a step, from 0."""
        done = min(step / self.ramp_up_steps, 1.0) if self.ramp_up_steps else 1.0
        return self.weight * math.exp(-5 * (1 - done) ** 2)

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: logits of student and teacher, shape (2, N, H, K).
            target: ``"severity"``, integers of shape (N,), negative when ungraded.
        """
        cross_entropy = self.graded(input[:1], target)
        student, teacher = gather_views(input)[:, :, PREFERENCE].float()
        consistency = F.mse_loss(student.softmax(dim=1), teacher.detach().softmax(dim=1))
        value = cross_entropy + self.weight_at(int(self.step)) * consistency
        self.step += 1
        self.terms = {"cross_entropy": cross_entropy.detach(), "consistency": consistency.detach()}
        return value
