# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.modules.loss import _Loss

from monai_semise.utils import at_least_float32, gather_with_gradient

__all__ = ["CrossCorrelationLoss", "barlow_twins_terms"]

_EPS = 1e-5


def barlow_twins_terms(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    r"""The two sums of Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230).

    .. math::
        I = \sum_d (1 - C_{dd})^2, \qquad R = \sum_d \sum_{e \neq d} C_{de}^2

    C is the correlation of each dimension of one view with each of the other, over the batch. MONAI's
    ``BarlowTwinsLoss`` divides by the unbiased deviation but by N, so that two equal views keep
    :math:`C_{dd} = (N - 1) / N`; here it is 1 but for an epsilon. All in float32 or float64; memory is of order
    D² + N x D.

    Args:
        input: embeddings of the first view, shape (N, D), N at least 2.
        target: embeddings of the second view, shape (N, D), in the same order.

    Returns:
        :math:`I` (invariance) and :math:`R` (redundancy), both scalars.

    Example:
        >>> import torch
        >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> invariance, redundancy = barlow_twins_terms(z, z)
        >>> round(float(invariance), 4), round(float(redundancy), 4)
        (0.0, 0.0)
    """
    if input.shape != target.shape or input.ndim != 2 or len(input) < 2:
        raise ValueError(
            "the two views must have one shape (N, D), N at least 2, "
            f"got {tuple(input.shape)} and {tuple(target.shape)}"
        )
    with torch.autocast(device_type=input.device.type, enabled=False):
        correlation = _standardized(input).T @ _standardized(target) / len(input)
        diagonal = correlation.diagonal()
        return (1 - diagonal).square().sum(), correlation.square().sum() - diagonal.square().sum()


def _standardized(view: Tensor) -> Tensor:
    view = at_least_float32(view)
    centred = view - view.mean(dim=0)
    return centred * (centred.square().mean(dim=0) + _EPS).rsqrt()


class CrossCorrelationLoss(_Loss):
    r"""Barlow Twins: :math:`s (I + \lambda R)`; see :func:`barlow_twins_terms`.

    In a distributed run, the correlation is that over the images of all ranks.

    Args:
        redundancy_weight: :math:`\lambda`; the paper's is 0.005.
        scale: factor s of the whole. The sums grow with D; 1 / D keeps the loss near 1.

    Attributes:
        terms: both sums at the last call, times s, detached.

    Example:
        >>> import torch
        >>> loss = CrossCorrelationLoss(scale=1 / 16)
        >>> value = loss(torch.randn(8, 16), torch.randn(8, 16))
        >>> bool(torch.isclose(value, loss.terms["invariance"] + 0.005 * loss.terms["redundancy"]))
        True
    """

    def __init__(self, redundancy_weight: float = 0.005, scale: float = 1.0) -> None:
        super().__init__()
        self.redundancy_weight = redundancy_weight
        self.scale = scale
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """
        Args:
            input: embeddings of the first view, shape (N, D).
            target: embeddings of the second view, shape (N, D).
        """
        invariance, redundancy = (
            self.scale * term for term in barlow_twins_terms(gather_with_gradient(input), gather_with_gradient(target))
        )
        self.terms = {"invariance": invariance.detach(), "redundancy": redundancy.detach()}
        return invariance + self.redundancy_weight * redundancy
