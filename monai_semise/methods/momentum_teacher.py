# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from monai_semise.utils import batch_norms, norm_momentum

__all__ = ["MomentumTeacher"]


class MomentumTeacher(nn.Module):
    r"""A network without gradients whose weights follow those of a student, as an exponential moving average.

    .. math::
        \theta'_0 = \theta_0, \quad \theta'_t = m_t \theta'_{t-1} + (1 - m_t) \theta_t

    The first step copies the student, so that weights count that it got after it was built (ImageNet).

    The student calls :meth:`follow` at the start of each training forward pass, which is after the optimizer step of
    the iteration before: no handler is needed, and the state is part of the student's checkpoint. A teacher is never
    in an optimizer's reach: its weights get no gradient, so that neither step nor weight decay touches them.

    **Batch normalization.** Weights and biases are averaged like all weights. Statistics are not: the teacher has its
    own, of what passes through it, because averaged weights do not go with the statistics of others, and an average
    of statistics that starts with those of an untrained network is wrong for as long as the average is slow. In
    training it normalizes with those of the batch, as the originals of BYOL, MoCo v3, DINO and Mean Teacher do; with
    ``batch_statistics=False``, with its running ones, which start with those of the first batch.

    Args:
        network: the teacher, of the student's class or of a base of it: each of its weights follows the student's of
            that name.
        momentum: m, in [0, 1).
        n_steps: m rises to 1 along half a cosine over so many steps, as in BYOL and DINO; None keeps it.
        ramp_up: whether :math:`m_t` is at most :math:`1 - 1 / (t + 1)`, so that the teacher is the mean of all students
            until m is slower than that, as in Mean Teacher. Not for contrast with earlier keys: a teacher that moves
            fast makes them tell their age.
        batch_statistics: whether batch normalization uses the batch in training. Otherwise an output depends on one
            image alone, and cannot tell which images were in its batch.

    Attributes:
        step: buffer, how often the teacher has moved.

    Example:
        >>> student = nn.Linear(2, 2)
        >>> teacher = MomentumTeacher(nn.Linear(2, 2))
        >>> teacher.follow(student)
        >>> torch.equal(teacher.network.weight, student.weight), teacher(torch.rand(1, 2)).requires_grad
        (True, False)
    """

    def __init__(
        self,
        network: nn.Module,
        momentum: float = 0.996,
        n_steps: int | None = None,
        ramp_up: bool = False,
        batch_statistics: bool = True,
    ) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), got {momentum}")
        self.network = network.requires_grad_(False)
        self.momentum = momentum
        self.n_steps = n_steps
        self.ramp_up = ramp_up
        self.batch_statistics = batch_statistics
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def train(self, mode: bool = True) -> MomentumTeacher:
        """Set the mode; without ``batch_statistics`` the teacher stays in evaluation mode."""
        return super().train(mode and self.batch_statistics)

    def momentum_at(self, step: int) -> float:
        """m of a step, from 0."""
        if step == 0:
            return 0.0
        momentum = self.momentum
        if self.n_steps is not None:
            momentum = 1 - (1 - momentum) * (1 + math.cos(math.pi * min(step / self.n_steps, 1))) / 2
        return min(momentum, 1 - 1 / (step + 1)) if self.ramp_up else momentum

    def follow(self, student: nn.Module) -> None:
        """Move one step towards the student; nothing moves where gradients are disabled, since nothing is learned."""
        if not torch.is_grad_enabled():
            return
        step = int(self.step)
        with torch.no_grad():
            parameters = dict(student.named_parameters())
            for name, parameter in self.network.named_parameters():
                parameter.lerp_(parameters[name], 1 - self.momentum_at(step))
            if step == 0:
                buffers = dict(student.named_buffers())
                for name, buffer in self.network.named_buffers():
                    buffer.copy_(buffers[name])
            self.step += 1

    def forward(self, image: Tensor) -> Tensor:
        """Output of the teacher, without gradients."""
        with torch.no_grad(), ExitStack() as hooks:
            if not self.batch_statistics:
                if int(self.step) <= 1:
                    # those of an untrained network are no statistics: normalized with them, all images would look alike
                    _adopt_statistics(self.network, image)
                # for this pass alone: what converts batch normalization, to a synchronized one, leaves hooks behind
                for norm in batch_norms(self.network):
                    hooks.enter_context(norm.register_forward_hook(_track_statistics))
            return self.network(image)


def _adopt_statistics(network: nn.Module, image: Tensor) -> None:
    """Take the statistics of a batch for the running ones."""
    norms = batch_norms(network)
    for norm in norms:
        norm.train()
    with norm_momentum(network, 1.0):
        network(image)
    for norm in norms:
        norm.eval()


def _track_statistics(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    """Move the running statistics of a batch normalization in evaluation mode, after they were used."""
    values = inputs[0].detach().float().transpose(0, 1).flatten(1)
    module.running_mean.lerp_(values.mean(dim=1), module.momentum)
    module.running_var.lerp_(values.var(dim=1), module.momentum)
