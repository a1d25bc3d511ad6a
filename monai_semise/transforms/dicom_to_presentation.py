# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, get_track_meta
from monai.transforms import MapTransform, Transform
from monai.utils import ImageMetaKey
from monai.utils.enums import TransformBackends
from torch import Tensor

from monai_semise.data import DicomInfo
from monai_semise.utils import InputError, plain_tensor

__all__ = [
    "DicomToPresentation",
    "DicomToPresentationD",
    "DicomToPresentationDict",
    "DicomToPresentationd",
    "apply_lookup_table",
    "apply_window",
]


class DicomToPresentation(Transform):
    """Make of a DICOM image's values what a viewer shows: 0 is black, 1 is white, and padding is black.

    One transform does all of it, in the only order that is right: padding is found by its values as loaded; then the
    VOI lookup table or the window is applied; then MONOCHROME1 is inverted; last, padding is set to 0. For a gray image
    it takes, of these, the first there is:

    1. ``window``, when given here;
    2. the header's VOI lookup table;
    3. the header's window (the first of several);
    4. the range of the values, padding left out.

    Color is divided by the largest value that its bits can hold. Images that are not DICOM, and those presented
    already, stay as they are, so that one pipeline serves PNG and DICOM. Flips and crops may go before it, resampling
    may not: it would mix padding and tissue.

    Args:
        window: center and width of a linear window in the units of the loaded values, for gray images.

    Example:
        >>> info = DicomInfo("MONOCHROME1", window=(50.5, 101.0))
        >>> image = MetaTensor([[[0.0, 25.0, 100.0]]], meta={"dicom": info.to_text()})
        >>> DicomToPresentation()(image).tolist()
        [[[1.0, 0.75, 0.0]]]
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, window: Sequence[float] | None = None) -> None:
        if window is not None:
            _check_window(window[0], window[1], "LINEAR", "window")
        self.window = None if window is None else (float(window[0]), float(window[1]))

    def __call__(self, image: Tensor) -> Tensor:
        """
        Args:
            image: as loaded by :class:`~monai_semise.data.DicomReader`, of any shape.

        Returns:
            the image with float32 values in [0, 1]; anything without DICOM metadata as it was.

        Raises:
            InputError: when the header's window has no width, or MONAI was told not to track metadata.
        """
        if not get_track_meta():
            raise InputError("DicomToPresentation: needs the image's metadata; call monai.data.set_track_meta(True)")
        info = DicomInfo.of(image)
        if info is None or info.presented:
            return image
        if self.window is not None:
            info = replace(info, window=self.window, voi_function="LINEAR", voi_lut=None)
        name = str(image.meta.get(ImageMetaKey.FILENAME_OR_OBJ, "image"))  # type: ignore[attr-defined]
        result = MetaTensor(_present(plain_tensor(image).float(), info, name)).copy_meta_from(image)
        kept = DicomInfo(
            "RGB" if info.photometric == "RGB" else "MONOCHROME2",
            color_bits=info.color_bits,
            laterality=info.laterality,
            presentation_intent=info.presentation_intent,
            presented=True,
        )
        result.meta["dicom"] = kept.to_text()
        return result


class DicomToPresentationd(MapTransform):
    """Dictionary form of :class:`DicomToPresentation`.

    Args:
        keys: keys of the images.
        window: see :class:`DicomToPresentation`.
        allow_missing_keys: whether a missing key is skipped.
    """

    backend = DicomToPresentation.backend

    def __init__(
        self, keys: KeysCollection, window: Sequence[float] | None = None, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.present = DicomToPresentation(window)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {**data, **{key: self.present(data[key]) for key in self.key_iterator(data)}}


def apply_window(values: Tensor, center: float, width: float, function: str = "LINEAR") -> Tensor:
    """Map values to [0, 1] through a window (DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3).

    Args:
        values: of any shape.
        center: of the window.
        width: of the window; for ``"LINEAR"`` at least 1, else above 0.
        function: ``"LINEAR"`` (from ``center - width / 2`` to ``center + width / 2 - 1``), ``"LINEAR_EXACT"`` (to
            ``center + width / 2``) or ``"SIGMOID"``.

    Example:
        >>> apply_window(torch.tensor([-10.0, 0, 5, 10, 20]), center=5, width=10, function="LINEAR_EXACT").tolist()
        [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    if function == "SIGMOID":
        return torch.sigmoid(4 * (values - center) / width)
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:  # a linear window of width 1 is a threshold
        return (values > center).float()
    return ((values - center) / width + 0.5).clamp(0, 1)


def apply_lookup_table(values: Tensor, table: Sequence[int], first: int, bits: int) -> Tensor:
    """Map values to [0, 1] through a VOI lookup table (DICOM PS3.3, C.11.2.1.1).

    Args:
        values: of any shape; those between two entries go to the nearest.
        table: entries of ``bits`` bits.
        first: value of the first entry; lower ones get this entry, too high ones the last.
        bits: of the entries.

    Example:
        >>> apply_lookup_table(torch.tensor([-1.0, 1, 2, 9]), [0, 255, 51], first=0, bits=8).tolist()
        [0.0, 1.0, 0.20000000298023224, 0.20000000298023224]
    """
    index = (values - first).round().clamp(0, len(table) - 1).long()
    return (torch.tensor(table, device=values.device) / (2**bits - 1))[index]


def _present(values: Tensor, info: DicomInfo, name: str) -> Tensor:
    if info.color_bits is not None:
        return values / (2**info.color_bits - 1)
    padded = None
    if info.padding is not None:
        padded = (values >= info.padding[0]) & (values <= info.padding[1])
    if info.voi_lut is not None:
        result = apply_lookup_table(values, info.voi_lut, info.voi_lut_first, info.voi_lut_bits)
    elif info.window is not None:
        _check_window(*info.window, info.voi_function, f"{name}: its window")
        result = apply_window(values, *info.window, info.voi_function)
    else:
        result = _full_range(values, padded)
    if info.photometric == "MONOCHROME1":
        result = 1 - result
    return result if padded is None else result.masked_fill(padded, 0)


def _full_range(values: Tensor, padded: Tensor | None) -> Tensor:
    shown = values if padded is None else values[~padded]
    if not len(shown) or shown.min() == shown.max():
        return torch.zeros_like(values)
    return ((values - shown.min()) / (shown.max() - shown.min())).clamp(0, 1)


def _check_window(center: float, width: float, function: str, name: str) -> None:
    if not (width >= 1 or (width > 0 and function != "LINEAR")):
        raise InputError(
            f"{name} has the center {center:g} and width {width:g}, which is no {function} window; give another one "
            "with DicomToPresentation(window=(center, width)), or correct the header"
        )


DicomToPresentationD = DicomToPresentationDict = DicomToPresentationd
