# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai.utils import CommonKeys
from torch import Tensor

from monai_semise.engines import masks_from_logits

__all__ = ["MaskOutput"]


class MaskOutput:
    """Predicted and true masks of an evaluator's output, both in the size of the true ones: an ``output_transform``.

    Args:
        exclusive: see :func:`monai_semise.engines.masks_from_logits`.

    Example:
        >>> import torch
        >>> output = {"pred": torch.ones(1, 2, 8, 8), "label": torch.zeros(1, 2, 20, 30)}
        >>> [masks.shape for masks in MaskOutput()(output)]
        [torch.Size([1, 2, 20, 30]), torch.Size([1, 2, 20, 30])]
    """

    def __init__(self, exclusive: bool = False) -> None:
        self.exclusive = exclusive

    def __call__(self, output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        label = output[CommonKeys.LABEL]
        return masks_from_logits(output[CommonKeys.PRED], label.shape[2:], self.exclusive), label
