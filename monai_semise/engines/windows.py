# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["random_windows"]

ON_A_STRUCTURE = 0.5
"""Share of the windows that are laid around a pixel of a mask: elsewhere, a small lesion is hardly ever met."""


def random_windows(images: Tensor, masks: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Cut a window out of every image of a batch, and the same one out of its masks.

    Half of the windows hold a pixel of a mask where there is one, the others lie anywhere. The draws come from torch's
    generator of the CPU, so ``torch.manual_seed`` repeats them.

    Args:
        images: shape (N, C, *spatial).
        masks: 0 and 1, shape (N, S, *spatial).
        size: of the window; no larger than the image.

    Returns:
        windows of shape (N, C, *size) and (N, S, *size).

    Raises:
        ValueError: when a window does not fit in.

    Example:
        >>> import torch
        >>> images, masks = random_windows(torch.rand(2, 1, 64, 64), torch.ones(2, 3, 64, 64), size=(16, 24))
        >>> images.shape, masks.shape
        (torch.Size([2, 1, 16, 24]), torch.Size([2, 3, 16, 24]))
    """
    spatial = images.shape[2:]
    room = [length - window for length, window in zip(spatial, size)]
    if len(size) != len(spatial) or min(room) < 0:
        raise ValueError(f"a window of {tuple(size)} does not fit into images of {tuple(spatial)}")
    pairs = []
    for image, mask in zip(images, masks):
        start = [int(torch.randint(space + 1, ())) for space in room]
        shown = mask.amax(dim=0).nonzero() if torch.rand(()) < ON_A_STRUCTURE else mask.new_empty(0)
        if len(shown):
            pixel = shown[int(torch.randint(len(shown), ()))].tolist()
            inside = [int(torch.randint(window, ())) for window in size]
            start = [min(max(p - i, 0), space) for p, i, space in zip(pixel, inside, room)]
        window = (slice(None), *(slice(first, first + length) for first, length in zip(start, size)))
        pairs.append((image[window], mask[window]))
    return torch.stack([image for image, _ in pairs]), torch.stack([mask for _, mask in pairs])
