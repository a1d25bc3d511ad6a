# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from monai.utils import optional_import
from torch import Tensor
from torch.nn.modules.loss import _Loss

from monai_semise.utils import InputError

__all__ = ["OrdinalCornLoss"]

corn_loss, has_coral = optional_import("coral_pytorch.losses", name="corn_loss")


class OrdinalCornLoss(_Loss):
    """The CORN loss of conditional ordinal logits (Shi et al. 2023, arXiv 2111.08851), from ``coral-pytorch``.

    Args:
        n_grades: number of grades K.

    Raises:
        InputError: when ``coral-pytorch`` is not installed.
    """

    def __init__(self, n_grades: int) -> None:
        super().__init__()
        if not has_coral:
            raise InputError('the CORN loss needs coral-pytorch; install it with pip install "monai-semise[ordinal]"')
        self.n_grades = n_grades

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """
        Args:
            input: logits of shape (N, K - 1), see :class:`monai_semise.networks.SeverityClassifier`.
            target: grades of shape (N,).
        """
        return corn_loss(input, target, self.n_grades)
