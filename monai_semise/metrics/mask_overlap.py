# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from monai_semise.metrics.counting import known_mean

__all__ = ["mask_metrics"]


def mask_metrics(dice: Tensor, iou: Tensor, predicted_share: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """Metrics of the masks of one structure, for :func:`monai_semise.metrics.bootstrap_intervals`.

    Args:
        dice: of each image, shape (N,); nan where it does not show the structure, as MONAI's ``ignore_empty=True`` has
            it.
        iou: likewise.
        predicted_share: of each image, that the predicted mask covers, in [0, 1], shape (N,).

    Returns:
        ``dice`` and ``iou``, means over the images that show the structure, and, where some do not,
        ``absent_correct``, the share of those in which none is predicted.

    Example:
        >>> import torch
        >>> dice, iou = torch.tensor([0.8, torch.nan, torch.nan]), torch.tensor([0.7, torch.nan, torch.nan])
        >>> metrics = mask_metrics(dice, iou, predicted_share=torch.tensor([0.2, 0.0, 0.1]))
        >>> {name: round(float(metric(torch.ones(3))), 2) for name, metric in metrics.items()}
        {'dice': 0.8, 'iou': 0.7, 'absent_correct': 0.5}
    """
    metrics = {"dice": partial(known_mean, dice), "iou": partial(known_mean, iou)}
    absent = dice.isnan()
    if absent.any():
        correct = (predicted_share == 0).double().where(absent, torch.nan)
        metrics["absent_correct"] = partial(known_mean, correct)
    return metrics
