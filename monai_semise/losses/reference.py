# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from torch import Tensor

__all__ = ["healthy_reference"]


def healthy_reference(projection: Tensor, severity: Tensor) -> Tensor:
    r"""The healthy reference :math:`\pi_0`: mean projection of the healthy images.

    Args:
        projection: projections g(f(x)) of shape (N, D).
        severity: grades of shape (N,), 0 = healthy, negative = ungraded.

    Returns:
        tensor of shape (D,).

    Raises:
        ValueError: when no image is healthy.

    Example:
        >>> import torch
        >>> healthy_reference(torch.tensor([[1.0, 0.0], [3.0, 2.0], [9.0, 9.0]]), torch.tensor([0, 0, 4]))
        tensor([2., 1.])
    """
    healthy = severity == 0
    if not healthy.any():
        raise ValueError(
            "the batch holds no healthy image (severity 0) to serve as reference: use GradeBalancedBatchSampler, "
            "or PairDataset with its references"
        )
    return projection[healthy].mean(dim=0)
