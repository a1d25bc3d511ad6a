# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from monai_semise.losses import cosine_distance
from monai_semise.methods.predictor_net import PREDICTION, TARGET
from monai_semise.methods.view_gathering import gather_views

__all__ = ["ByolLoss"]


class ByolLoss(nn.Module):
    r"""The loss of BYOL (Grill et al. 2020, arXiv 2006.07733): predict the teacher's projection of the other view.

    .. math::
        L = \frac{1}{N} \sum_i \left(2 - 2 \cos(q(z_i), z'_{j(i)}) \right) + \left(2 - 2 \cos(q(z_{j(i)}), z'_i) \right)

    Attributes:
        terms: value of the loss at the last call, for the log.

    Example:
        >>> import torch
        >>> ByolLoss()(torch.eye(4).expand(2, 2, 4, 4).transpose(1, 2), {})
        tensor(0.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: two views, shape (2, N, 2, D), heads as of
                :class:`monai_semise.methods.predictor_net.PredictorNet`.
            target: not used.
        """
        views = gather_views(input)
        distance = cosine_distance(views[:, :, PREDICTION], views[:, :, TARGET].flip(0))
        value = 2 * distance.sum(dim=0).mean()
        self.terms = {"loss": value.detach()}
        return value
