# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImage, MapTransform, Transform
from monai.utils.enums import TransformBackends

from monai_semise.utils import InputError

__all__ = ["LoadCheckedImage", "LoadCheckedImageD", "LoadCheckedImageDict", "LoadCheckedImaged"]


class LoadCheckedImage(Transform):
    """Read an image with MONAI's :class:`~monai.transforms.LoadImage`, channel first, and check what came.

    Trailing spatial axes of length 1 (a DICOM file of one slice) are dropped.

    Args:
        channels: number of channels that the image must have.
        spatial_dims: number of spatial axes that it must have, 2 or 3.
        kwargs: further arguments of ``LoadImage``, such as ``reader``.

    Returns:
        float32 :class:`~monai.data.MetaTensor` of shape (channels, *spatial).

    Raises:
        InputError: naming the file, when it is missing, cannot be decoded, has a palette, another number of channels
            or axes, or holds values that are not finite.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, channels: int, spatial_dims: int = 2, **kwargs: Any) -> None:
        self.channels = channels
        self.spatial_dims = spatial_dims
        self.load = LoadImage(image_only=True, ensure_channel_first=True, **kwargs)

    def __call__(self, filename: str | os.PathLike) -> MetaTensor:
        if not os.path.exists(filename):
            raise InputError(f"{filename}: no such image; correct the datalist, or remove the item")
        try:
            image = self.load(filename)
        except Exception as error:
            raise InputError(
                f"{filename}: cannot be read as an image ({_reason(error)}); restore the file, or remove the item"
            ) from error
        if image.meta.get("mode") == "P":
            raise InputError(f"{filename}: holds numbers of palette colours, not brightness; convert it to grey or RGB")
        while image.ndim - 1 > self.spatial_dims and image.shape[-1] == 1:
            image = image[..., 0]
        shape = tuple(image.shape[1:])
        if len(shape) != self.spatial_dims:
            raise InputError(
                f"{filename}: spatial shape {shape} has {len(shape)} axes where spatial_dims is {self.spatial_dims}; "
                "set spatial_dims, or remove the item"
            )
        if len(image) != self.channels:
            raise InputError(
                f"{filename}: {len(image)} channel(s) found where in_channels is {self.channels}; "
                "convert the images to one number of channels, or set in_channels"
            )
        if not torch.isfinite(image).all():
            raise InputError(f"{filename}: holds values that are not finite; repair the file, or remove the item")
        return image


class LoadCheckedImaged(MapTransform):
    """Dictionary form of :class:`LoadCheckedImage`; keeps the path of ``key`` as ``f"{key}_path"``.

    Args:
        keys: keys of the image paths.
        channels: see :class:`LoadCheckedImage`.
        spatial_dims: see :class:`LoadCheckedImage`.
        allow_missing_keys: whether a missing key is skipped.
        kwargs: further arguments of ``LoadImage``.
    """

    backend = LoadCheckedImage.backend

    def __init__(
        self,
        keys: KeysCollection,
        channels: int,
        spatial_dims: int = 2,
        allow_missing_keys: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.load = LoadCheckedImage(channels, spatial_dims, **kwargs)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(data):
            result[f"{key}_path"] = str(data[key])
            result[key] = self.load(data[key])
        return result


def _reason(error: BaseException) -> str:
    """The innermost cause that was written to be read, in one line."""
    reason, cause = error, error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, (OSError, ValueError, RuntimeError, EOFError)):  # not a decoder's struct.error
            reason = cause
        cause = cause.__cause__ or cause.__context__
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()] or [type(reason).__name__]
    text = " ".join(lines)
    return text if len(text) <= 200 else lines[-1][:200]


LoadCheckedImageD = LoadCheckedImageDict = LoadCheckedImaged
