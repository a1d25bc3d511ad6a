# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from monai_semise.methods.info_nce import info_nce_loss
from monai_semise.methods.predictor_net import PREDICTION, TARGET
from monai_semise.methods.view_gathering import gather_views

__all__ = ["MocoV3Loss"]


class MocoV3Loss(nn.Module):
    r"""The loss of MoCo v3 (Chen et al. 2021, arXiv 2104.02057): InfoNCE within the batch, from both views.

    .. math::
        L = 2 \tau \left( \mathrm{InfoNCE}(q_1, k_2) + \mathrm{InfoNCE}(q_2, k_1) \right)

    Args:
        temperature: see :func:`monai_semise.methods.info_nce.info_nce_loss`.

    Attributes:
        terms: value of the loss at the last call, for the log.

    Example:
        >>> import torch
        >>> MocoV3Loss()(torch.randn(2, 4, 2, 8), {}).shape
        torch.Size([])
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: two views, shape (2, N, 2, D), heads as of
                :class:`monai_semise.methods.predictor_net.PredictorNet`.
            target: not used.
        """
        views = gather_views(input)
        first, second = views[:, :, PREDICTION]
        first_key, second_key = views[:, :, TARGET]
        sides = info_nce_loss(first, second_key, self.temperature) + info_nce_loss(second, first_key, self.temperature)
        value = 2 * self.temperature * sides
        self.terms = {"loss": value.detach()}
        return value
