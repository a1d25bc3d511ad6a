# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from monai.data import MetaTensor
from torch import Tensor

__all__ = ["at_least_float32", "plain_tensor"]


def at_least_float32(value: Tensor) -> Tensor:
    """``value``, in float32 where it is in half precision (float16 or bfloat16)."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def plain_tensor(value: Tensor) -> Tensor:
    """``value`` without MONAI's metadata, which costs time in every operation."""
    return value.as_tensor() if isinstance(value, MetaTensor) else value
