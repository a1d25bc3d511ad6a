# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.engines import PrepareBatch
from monai.networks.utils import one_hot
from torch import Tensor
from torch.nn import functional as F

from monai_semise.engines.windows import random_windows
from monai_semise.transforms import RandBatchAugment
from monai_semise.utils import plain_tensor

__all__ = ["PrepareMaskBatch", "masks_from_logits", "probabilities_from_logits", "resize_linearly"]

INTERPOLATION = {2: "bilinear", 3: "trilinear"}


def resize_linearly(values: Tensor, size: Sequence[int]) -> Tensor:
    """Logits, or images, in another size by linear interpolation, in float32; those that have it stay as they are.

    Args:
        values: shape (N, K, *spatial), 2D or 3D.
        size: spatial size to have.

    Returns:
        shape (N, K, *size).

    Example:
        >>> import torch
        >>> resize_linearly(torch.tensor([[[[4.0, 0.0]]]]), size=(1, 4))
        tensor([[[[4., 3., 1., 0.]]]])
    """
    values = plain_tensor(values).float()
    if tuple(values.shape[2:]) == tuple(size):
        return values
    return F.interpolate(values, tuple(size), mode=INTERPOLATION[values.ndim - 2], align_corners=False)


def probabilities_from_logits(logits: Tensor, exclusive: bool = False) -> Tensor:
    """Probability of each structure in each pixel.

    Args:
        logits: as :func:`masks_from_logits` takes them.
        exclusive: whether a pixel belongs to one structure at most.

    Returns:
        shape (N, S, *spatial).

    Example:
        >>> import torch
        >>> probabilities_from_logits(torch.zeros(1, 3, 1, 1), exclusive=True).flatten()
        tensor([0.3333, 0.3333])
    """
    return logits.softmax(dim=1)[:, 1:] if exclusive else logits.sigmoid()


def masks_from_logits(logits: Tensor, size: Sequence[int], exclusive: bool = False) -> Tensor:
    """Masks that a network predicts, in the size of the original image.

    The logits are interpolated, and only then decided on: the outline is finer than a pixel of the network.

    Args:
        logits: shape (N, S, *spatial), a structure is where its logit is above 0; with ``exclusive`` shape
            (N, 1 + S, *spatial), a pixel belongs to the structure, or the background (first), of the highest.
        size: spatial size to have.
        exclusive: whether a pixel belongs to one structure at most.

    Returns:
        0 and 1, float32, shape (N, S, *size).

    Example:
        >>> import torch
        >>> masks_from_logits(torch.tensor([[[[3.0, -0.5]]]]), size=(1, 4))
        tensor([[[[1., 1., 1., 0.]]]])
    """
    logits = resize_linearly(logits, size)
    if not exclusive:
        return (logits > 0).float()
    return one_hot(logits.argmax(dim=1, keepdim=True), num_classes=logits.shape[1])[:, 1:]


class PrepareMaskBatch(PrepareBatch):
    """Turn a collated batch into images and masks, augmented together on the device.

    Args:
        augment: moves masks along with images; None leaves both as they are.
        window: size of a window to cut out of each image at random, see
            :func:`monai_semise.engines.random_windows`; None takes whole images.

    Example:
        >>> import torch
        >>> batch = {"image": torch.rand(2, 1, 8, 8), "mask": torch.ones(2, 3, 8, 8, dtype=torch.uint8)}
        >>> images, masks = PrepareMaskBatch(RandBatchAugment())(batch)
        >>> masks.shape, masks.dtype
        (torch.Size([2, 3, 8, 8]), torch.float32)
    """

    def __init__(self, augment: RandBatchAugment | None = None, window: Sequence[int] | None = None) -> None:
        self.augment = augment
        self.window = window

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """
        Args:
            batchdata: ``image`` of shape (N, C, *spatial) and ``mask`` of shape (N, S, *size); the two sizes may
                differ where nothing is cut out or augmented.
            device: where the tensors go.
            non_blocking: see :meth:`torch.Tensor.to`.
            kwargs: further arguments of :meth:`torch.Tensor.to` for the images.

        Returns:
            images, and masks in float32.
        """
        image = plain_tensor(batchdata["image"]).to(device=device, non_blocking=non_blocking, **kwargs)
        mask = plain_tensor(batchdata["mask"]).to(device=device, non_blocking=non_blocking).float()
        if self.window is not None:
            image, mask = random_windows(image, mask, self.window)
        return self.augment.with_masks(image, mask) if self.augment else (image, mask)
