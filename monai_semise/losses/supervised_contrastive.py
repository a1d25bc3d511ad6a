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

__all__ = ["SupervisedContrastiveLoss", "supervised_contrastive_loss"]


def supervised_contrastive_loss(
    input: Tensor,
    labels: Tensor,
    temperature: float = 0.1,
    reduction: LossReduction | str = "mean",
    shared: bool = False,
) -> Tensor:
    r"""Supervised contrastive loss over a batch (Khosla et al. 2020, arXiv 2004.11362, their :math:`L^{sup}_{out}`).

    .. math::
        L = \frac{1}{|A|} \sum_{i \in A} -\frac{1}{|P(i)|} \sum_{p \in P(i)}
            \log \frac{\exp(\cos(z_i, z_p) / \tau)}{\sum_{k \neq i} \exp(\cos(z_i, z_k) / \tau)}

    :math:`P(i)` are the other embeddings of the class of i, and the anchors A those that have one. With two views and
    every image a class of its own, it is :func:`monai_semise.losses.nt_xent_loss`. The sums are in float32 or float64;
    memory is linear in N, see :func:`~monai_semise.losses.log_sum_exp.log_sum_exp_of_others`.

    Args:
        input: embeddings of shape (N, D), the views of an image as rows of their own.
        labels: class of each row, integers of shape (N,); a negative label marks a row without one, which is left out.
        temperature: :math:`\tau > 0`; the paper's is 0.1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        shared: whether these are the rows of all ranks of a distributed run, gathered by
            :func:`monai_semise.utils.gather_with_gradient`; many rows are then shared out among the ranks.

    Returns:
        scalar, or one value an anchor for ``"none"``. 0 when there is no anchor.

    Example:
        >>> import torch
        >>> z = torch.eye(2).repeat_interleave(2, dim=0)
        >>> supervised_contrastive_loss(z, torch.tensor([0, 0, 1, 1]), temperature=0.5)
        tensor(0.2395)
    """
    labelled = labels >= 0
    rows = unit_vectors(input[labelled])
    _, group, size = torch.unique(labels[labelled], return_inverse=True, return_counts=True)
    others = log_sum_exp_of_others(rows, temperature, shared)
    # the positives of a row by the sum of its class, so that no mask of pairs is needed
    of_class = rows.new_zeros(len(size), rows.shape[1]).index_add(0, group, rows)[group]
    positives = (rows * (of_class - rows)).sum(dim=1) / temperature
    n_positives = size[group] - 1
    anchor = n_positives > 0
    return reduce_loss(others[anchor] - positives[anchor] / n_positives[anchor], reduction)


class SupervisedContrastiveLoss(TemperatureLoss):
    """Module form of :func:`supervised_contrastive_loss`.

    In a distributed run, the embeddings of all ranks are compared.

    Args:
        temperature: see :func:`supervised_contrastive_loss`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Example:
        >>> import torch
        >>> loss = SupervisedContrastiveLoss()
        >>> loss(torch.randn(8, 16), torch.tensor([0, 0, 1, 1, 2, 2, -1, -1])).isfinite()
        tensor(True)
    """

    def __init__(self, temperature: float = 0.1, reduction: LossReduction | str = LossReduction.MEAN) -> None:
        super().__init__(temperature, reduction)

    def compare(self, input: Tensor, target: Tensor) -> Tensor:
        """
        Args:
            input: embeddings of shape (N, D).
            target: class of each, shape (N,), negative for none.
        """
        return supervised_contrastive_loss(input, target, self.temperature, self.reduction, shared=True)
