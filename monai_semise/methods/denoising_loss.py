# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from monai_semise.methods.denoising_net import PREDICTION, TRUTH
from monai_semise.methods.view_gathering import gather_views

__all__ = ["DenoisingLoss"]


class DenoisingLoss(nn.Module):
    r"""The loss of diffusion models (Ho et al. 2020, arXiv 2006.11239): squared error of the noise, or velocity.

    .. math::
        L = \frac{1}{NP} \sum_i \lVert \hat y_i - y_i \rVert^2

    Attributes:
        terms: value of the loss at the last call, for the log.

    Example:
        >>> import torch
        >>> DenoisingLoss()(torch.tensor([[[[1.0, 2.0], [1.0, 5.0]]]]), {})
        tensor(4.5000)
    """

    def __init__(self) -> None:
        super().__init__()
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: prediction and truth, shape (1, N, 2, P), see
                :class:`monai_semise.methods.denoising_net.DenoisingNet`.
            target: not used.
        """
        error = (input[:, :, PREDICTION] - input[:, :, TRUTH]).float() ** 2
        value = gather_views(error.mean(dim=2)).mean()
        self.terms = {"loss": value.detach()}
        return value
