# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, PathLike
from monai.data import MetaTensor, PILReader
from monai.data.utils import to_affine_nd
from monai.transforms import LoadImage, MapTransform, Transform
from monai.utils import ImageMetaKey, MetaKeys, ensure_tuple
from monai.utils.enums import TransformBackends
from PIL import ExifTags, Image, ImageOps

from monai_semise.data import DicomReader
from monai_semise.utils import InputError

__all__ = ["LoadCheckedImage", "LoadCheckedImageD", "LoadCheckedImageDict", "LoadCheckedImaged"]

KEPT = (
    MetaKeys.AFFINE,
    MetaKeys.ORIGINAL_AFFINE,
    MetaKeys.SPACE,
    MetaKeys.SPATIAL_SHAPE,
    MetaKeys.ORIGINAL_CHANNEL_DIM,
    ImageMetaKey.FILENAME_OR_OBJ,
    "dicom",
)
"""Metadata that stay: headers also hold names, dates and comments."""


class BitmapTiffReader(PILReader):
    """MONAI's Pillow reader for TIFF files of one bit a pixel or with a palette.

    ITK, MONAI's reader of TIFF, makes of the former four channels, of which the last is all white, and of the latter
    shades of gray.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        return all(_is_bitmap_tiff(name) for name in ensure_tuple(filename))


class TurnedPhotoReader(PILReader):
    """MONAI's Pillow reader for JPEG and PNG files that a camera has marked as turned or mirrored (EXIF orientation).

    MONAI reads them as they are stored; viewers, and who draws masks in one, see them upright.
    """

    def __init__(self) -> None:
        super().__init__(converter=ImageOps.exif_transpose)

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        return all(_is_turned_photo(name) for name in ensure_tuple(filename))


def _is_turned_photo(name: PathLike) -> bool:
    if not str(name).lower().endswith((".jpg", ".jpeg", ".png")):
        return False
    try:
        with Image.open(name) as image:
            return image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except OSError:  # no image: the other readers' to tell
        return False


def _is_bitmap_tiff(name: PathLike) -> bool:
    if not str(name).lower().endswith((".tif", ".tiff")):
        return False
    try:
        with Image.open(name) as image:
            return image.mode in ("1", "P")
    except OSError:  # a kind of TIFF that Pillow does not know, or no image: ITK's to tell
        return False


class LoadCheckedImage(Transform):
    """Read an image with MONAI's :class:`~monai.transforms.LoadImage`, channel first, and check what came.

    Axes are (channel, x, y[, z]) for every format: the first spatial axis runs along a row of the picture. Photographs
    are turned as their EXIF orientation says. DICOM, told by its content, goes to
    :class:`~monai_semise.data.DicomReader`, other formats to MONAI's readers. Trailing spatial axes of length 1 (of a
    NIfTI file of one slice) are dropped. Of the header, only geometry and the :class:`~monai_semise.data.DicomInfo`
    stay in the metadata: nothing that could name a patient.

    Args:
        channels: number of channels that the image must have; None = any.
        spatial_dims: number of spatial axes that it must have, 2 or 3; None = any.
        kwargs: further arguments of ``LoadImage``. A ``reader`` given here reads every format.

    Returns:
        float32 :class:`~monai.data.MetaTensor` of shape (channels, *spatial).

    Raises:
        InputError: naming the file, when it is missing, cannot be decoded, has a palette, another number of channels
            or axes, or holds values that are not finite.
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, channels: int | None, spatial_dims: int | None = 2, **kwargs: Any) -> None:
        self.channels = channels
        self.spatial_dims = spatial_dims
        self.load = LoadImage(image_only=True, ensure_channel_first=True, **kwargs)
        if kwargs.get("reader") is None:
            self.load.register(BitmapTiffReader())
            self.load.register(TurnedPhotoReader())
            self.load.register(DicomReader())

    def __call__(self, filename: str | os.PathLike) -> MetaTensor:
        if not os.path.exists(filename):
            raise InputError(f"{filename}: no such image; correct the datalist, or remove the item")
        try:
            image = self.load(filename)
        except InputError:  # of DicomReader, which names the file itself
            raise
        except Exception as error:
            raise InputError(
                f"{filename}: cannot be read as an image ({_reason(error)}); restore the file, or remove the item"
            ) from error
        if image.meta.get("mode") == "P":
            raise InputError(f"{filename}: holds numbers of palette colours, not brightness; convert it to grey or RGB")
        while image.ndim - 1 > (self.spatial_dims or 2) and image.shape[-1] == 1:
            image = image[..., 0]
        shape = tuple(image.shape[1:])
        if self.spatial_dims == 3 and len(shape) == 3 and 1 in shape:
            raise InputError(
                f"{filename}: spatial shape {shape} is a single slice where spatial_dims is 3; "
                "set spatial_dims to 2, or remove the item"
            )
        if self.spatial_dims not in (None, len(shape)):
            raise InputError(
                f"{filename}: spatial shape {shape} has {len(shape)} axes where spatial_dims is {self.spatial_dims}; "
                "set spatial_dims, or remove the item"
            )
        if self.channels not in (None, len(image)):
            raise InputError(
                f"{filename}: {len(image)} channel(s) found where in_channels is {self.channels}; "
                "convert the images to one number of channels (of a time series, keep one volume), or set in_channels"
            )
        if not torch.isfinite(image).all():
            raise InputError(f"{filename}: holds values that are not finite; repair the file, or remove the item")
        return _with_checked_meta(image)


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
        channels: int | None,
        spatial_dims: int | None = 2,
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


def _with_checked_meta(image: MetaTensor) -> MetaTensor:
    """``image`` with the metadata that may stay, of one size for every format, so that any can share a batch."""
    meta = {key: image.meta[key] for key in KEPT if key in image.meta}
    for key in (MetaKeys.AFFINE, MetaKeys.ORIGINAL_AFFINE):
        meta[key] = to_affine_nd(3, torch.as_tensor(meta.get(key, image.affine)), dtype=torch.float64)
    meta[MetaKeys.SPATIAL_SHAPE] = np.asarray(image.shape[1:])
    return MetaTensor(image.as_tensor(), meta=meta)


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
