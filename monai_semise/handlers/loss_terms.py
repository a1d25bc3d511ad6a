# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

from monai.utils import CommonKeys

__all__ = ["LossTerms"]


class LossTerms:
    """The loss and its terms apart, as plain numbers: an ``output_transform`` for loggers.

    Args:
        loss_function: any loss; one with a dictionary ``terms``, such as :class:`monai_semise.losses.SemiseLoss`, has
            more to tell.

    Example:
        >>> import torch
        >>> from monai_semise.losses import HealthyAnomalyLoss
        >>> loss = HealthyAnomalyLoss()
        >>> value = loss(torch.eye(2).reshape(1, 2, 1, 2), {"severity": torch.tensor([0, 1])})
        >>> LossTerms(loss)({"loss": value})
        {'loss': 0.0, 'margin_contrastive': 0.0}
    """

    def __init__(self, loss_function: Any) -> None:
        self.loss_function = loss_function

    def __call__(self, output: Any) -> dict[str, float]:
        terms = {name: float(term) for name, term in getattr(self.loss_function, "terms", {}).items()}
        return {CommonKeys.LOSS.value: float(output[CommonKeys.LOSS].detach()), **terms}
