# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from monai.data import MetaTensor
from torch import Tensor

__all__ = ["plain_tensor"]


def plain_tensor(value: Tensor) -> Tensor:
    """``value`` without MONAI's metadata, which costs time in every operation."""
    return value.as_tensor() if isinstance(value, MetaTensor) else value
