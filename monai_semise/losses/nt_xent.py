# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.utils import LossReduction
from torch import Tensor

from monai_semise.losses.cosine import unit_vectors
from monai_semise.losses.log_sum_exp import log_sum_exp_of_others
from monai_semise.losses.reduction import reduce_loss
from monai_semise.losses.temperature_loss import TemperatureLoss

__all__ = ["NTXentLoss", "nt_xent_loss"]


def nt_xent_loss(
    input: Tensor,
    target: Tensor,
    temperature: float = 0.5,
    reduction: LossReduction | str = "mean",
    shared: bool = False,
) -> Tensor:
    r"""Normalized temperature-scaled cross entropy over two views: Eq. 2 of SEMISE (SimCLR, Chen et al., 2020).

    .. math::
        L = \frac{1}{2N} \sum_{i=1}^{2N}
            -\log \frac{\exp(\cos(z_i, z_{j(i)}) / \tau)}{\sum_{k \neq i} \exp(\cos(z_i, z_k) / \tau)}

    Both views of all N images are anchors (2N terms). The sum is a log-sum-exp in float32 or float64, so that it
    stays finite at small temperatures and in half precision. Memory is linear in N, see
    :func:`~monai_semise.losses.log_sum_exp.log_sum_exp_of_others`.

    Args:
        input: embeddings of the first view, shape (N, D).
        target: embeddings of the second view, shape (N, D), in the same order.
        temperature: :math:`\tau > 0`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        shared: whether these are the rows of all ranks of a distributed run, gathered by
            :func:`monai_semise.utils.gather_with_gradient`; many rows are then shared out among the ranks.

    Returns:
        scalar, or shape (2N,) for ``"none"``: the first views as anchors, then the second ones.

    Example:
        >>> import torch
        >>> z = torch.eye(4)
        >>> nt_xent_loss(z, z, temperature=0.5)
        tensor(0.5944)
    """
    if input.shape != target.shape or input.ndim != 2:
        raise ValueError(
            f"the two views must have one shape (N, D), got {tuple(input.shape)} and {tuple(target.shape)}"
        )
    first, second = unit_vectors(input), unit_vectors(target)
    others = log_sum_exp_of_others(torch.cat([first, second]), temperature, shared)
    positive = (first * second).sum(dim=1) / temperature
    return reduce_loss(others - positive.repeat(2), reduction)


class NTXentLoss(TemperatureLoss):
    """Module form of :func:`nt_xent_loss`.

    In a distributed run, the images of all ranks are each other's negatives.

    Args:
        temperature: see :func:`nt_xent_loss`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Example:
        >>> import torch
        >>> loss = NTXentLoss(temperature=0.1)
        >>> loss(torch.randn(8, 16), torch.randn(8, 16)).isfinite()
        tensor(True)
    """

    def __init__(self, temperature: float = 0.5, reduction: LossReduction | str = LossReduction.MEAN) -> None:
        super().__init__(temperature, reduction)

    def compare(self, input: Tensor, target: Tensor) -> Tensor:
        """
        Args:
            input: embeddings of the first view, shape (N, D).
            target: embeddings of the second view, shape (N, D).
        """
        return nt_xent_loss(input, target, self.temperature, self.reduction, shared=True)
