# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monai_semise.utils import InputError

__all__ = ["best_constant_mask"]

N_THRESHOLDS = 20


def best_constant_mask(masks: Sequence[Tensor]) -> Tensor:
    """The one mask that, predicted for every image, has about the highest mean Dice: what photographers' habits give.

    Of each structure, the pixels in which it is more frequent than a threshold, among the images that show it.

    Args:
        masks: masks of training images, 0 and 1, each of the same shape (S, *spatial).

    Returns:
        0 and 1, float32, shape (S, *spatial); 0 for a structure that no mask shows.

    Raises:
        InputError: without a mask.

    Example:
        >>> import torch
        >>> masks = [torch.tensor([[0, 1, 1, 0]]), torch.tensor([[0, 1, 1, 1]]), torch.tensor([[0, 0, 1, 0]])]
        >>> best_constant_mask([*masks, torch.zeros(1, 4)])
        tensor([[0., 1., 1., 0.]])
    """
    if not len(masks):
        raise InputError("constant mask: no training mask to make it of")
    shape = masks[0].shape
    frequency = torch.zeros(shape[0], masks[0][0].numel())
    n_shown = torch.zeros(shape[0], 1)
    for mask in masks:
        pixels = mask.flatten(1).float()
        frequency += pixels
        n_shown += pixels.amax(dim=1, keepdim=True)
    frequency /= n_shown.clamp_min(1)
    thresholds = torch.arange(N_THRESHOLDS).view(-1, 1, 1) / N_THRESHOLDS
    candidates = (frequency > thresholds).float()  # (T, S, pixels)
    sizes = candidates.sum(dim=2)
    dice = torch.zeros_like(sizes)
    for mask in masks:
        pixels = mask.flatten(1).float()
        # an image that does not show the structure adds 0 to all
        dice += 2 * torch.einsum("tsp,sp->ts", candidates, pixels) / (sizes + pixels.sum(dim=1)).clamp_min(1)
    best = candidates[dice.argmax(dim=0), torch.arange(shape[0])]
    return best.view(shape)
