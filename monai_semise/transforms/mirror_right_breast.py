# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.data import get_track_meta
from monai.transforms import Flip, InvertibleTransform, MapTransform
from monai.utils import ImageMetaKey, convert_to_tensor
from monai.utils.enums import TraceKeys
from torch import Tensor

from monai_semise.data import DicomInfo
from monai_semise.utils import InputError

__all__ = ["MirrorRightBreast", "MirrorRightBreastD", "MirrorRightBreastDict", "MirrorRightBreastd"]


class MirrorRightBreast(InvertibleTransform):
    """Flip the images of right breasts along x, so that all breasts point the same way.

    The affine follows, and MONAI can invert it. Images that are not DICOM stay as they are.

    Example:
        >>> import torch
        >>> MirrorRightBreast()(torch.tensor([[[1.0], [2.0]]]), laterality="R").tolist()
        [[[2.0], [1.0]]]
    """

    backend = Flip.backend

    def __init__(self) -> None:
        self.flip = Flip(spatial_axis=0)

    def __call__(self, image: Tensor, laterality: str | None = None) -> Tensor:
        """
        Args:
            image: shape (C, columns, rows[, slices]).
            laterality: ``"R"`` is flipped, ``"L"``, ``"B"`` (both) and ``"U"`` (unpaired) are not; by default what the
                DICOM header says.

        Raises:
            InputError: when a DICOM image's header does not tell the side, or MONAI was told not to track metadata.
        """
        side = _side(image) if laterality is None else _side(laterality)
        if side is None:
            return image
        image = convert_to_tensor(image, track_meta=get_track_meta())
        with self.flip.trace_transform(False):
            result = self.flip(image) if side == "R" else image
        self.push_transform(result, extra_info={"side": side})
        return result

    def inverse(self, data: Tensor) -> Tensor:
        """Flip back what was flipped."""
        if self.pop_transform(data)[TraceKeys.EXTRA_INFO]["side"] != "R":
            return data
        with self.flip.trace_transform(False):
            return self.flip(data)


class MirrorRightBreastd(MapTransform, InvertibleTransform):
    """Dictionary form of :class:`MirrorRightBreast`, which flips images and masks together.

    Args:
        keys: keys of what to flip.
        source_key: key of the DICOM image whose header tells the side, or of the side itself: a text ``"R"`` or
            ``"L"``, for images that have lost their header.
        allow_missing_keys: whether a missing key of ``keys`` is skipped.
    """

    backend = MirrorRightBreast.backend

    def __init__(self, keys: KeysCollection, source_key: str, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.source_key = source_key
        self.mirror = MirrorRightBreast()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        side = _side(data[self.source_key])
        if side is None:
            return dict(data)
        return {**data, **{key: self.mirror(data[key], side) for key in self.key_iterator(data)}}

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Flip back what was flipped."""
        return {**data, **{key: self.mirror.inverse(data[key]) for key in self.key_iterator(data)}}


def _side(source: Any) -> str | None:
    """Side that a text is, or that a DICOM image's header tells; None when ``source`` is something else."""
    if isinstance(source, str):
        if source not in ("L", "R", "B", "U"):
            raise InputError(f'laterality: expected "L", "R", "B" (both) or "U" (unpaired), found {source!r}')
        return source
    if not get_track_meta():
        raise InputError("MirrorRightBreast: needs the image's metadata; call monai.data.set_track_meta(True)")
    info = DicomInfo.of(source)
    if info is not None and info.laterality is None:
        raise InputError(
            f"{source.meta.get(ImageMetaKey.FILENAME_OR_OBJ, 'image')}: its DICOM header does not tell whether the "
            'breast is a right one; let source_key name a field of the item that says "L" or "R", or leave '
            "MirrorRightBreast out"
        )
    return None if info is None else info.laterality


MirrorRightBreastD = MirrorRightBreastDict = MirrorRightBreastd
