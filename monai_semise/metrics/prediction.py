# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["GradePrediction"]


class GradePrediction(NamedTuple):
    """What a predictor says of N images.

    Example:
        >>> import torch
        >>> GradePrediction(grade=torch.tensor([0, 2])).score is None
        True
    """

    grade: Tensor
    """Predicted grades, integers of at least 0, shape (N,)."""
    probability: Tensor | None = None
    """Probability of each grade from 0, rows that sum to 1, shape (N, K)."""
    score: Tensor | None = None
    """Severity, on any scale that rises with the grade, shape (N,)."""
