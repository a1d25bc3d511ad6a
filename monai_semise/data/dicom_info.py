# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from monai.data import MetaTensor
from pydicom import Dataset
from pydicom.multival import MultiValue

from monai_semise.utils import InputError

__all__ = ["DicomInfo", "info_of_headers"]

VOI_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
INTENTS = ("FOR PRESENTATION", "FOR PROCESSING")
LATERALITIES = ("L", "R", "B", "U")


@dataclass(frozen=True)
class DicomInfo:
    """What transforms need of an image's DICOM header, and nothing else of that header.

    :class:`~monai_semise.data.DicomReader` leaves it in ``image.meta["dicom"]`` as JSON text: MONAI's collation takes
    neither None nor lists of different lengths (lookup tables), and text is never copied with the tensor.

    Attributes:
        photometric: ``"MONOCHROME1"`` (high values are dark), ``"MONOCHROME2"`` or ``"RGB"`` (whatever the file's
            color space was).
        color_bits: bits of one color sample; None for gray images.
        window: center and width in the units of the pixel values. The slices of a volume can have windows of their
            own: this one just covers them all, so that a gray value means the same throughout the volume.
        voi_function: ``"LINEAR"``, ``"LINEAR_EXACT"`` or ``"SIGMOID"``: what the window means.
        voi_lut: VOI lookup table, preferred to the window.
        voi_lut_first: pixel value of the table's first entry.
        voi_lut_bits: bits of the table's entries.
        padding: lowest and highest value of the pixels that pad the image; None without such pixels. No other pixel
            has a value in this range.
        laterality: ``"L"``, ``"R"``, ``"B"`` (both), ``"U"`` (unpaired), or None when the header does not say.
        presentation_intent: ``"FOR PRESENTATION"``, ``"FOR PROCESSING"``, or None when the header does not say.
        presented: whether :class:`~monai_semise.transforms.DicomToPresentation` has done its work on the image.

    Example:
        >>> image = MetaTensor([[0.0]], meta={"dicom": DicomInfo("MONOCHROME2", laterality="R").to_text()})
        >>> DicomInfo.of(image).laterality
        'R'
    """

    photometric: str
    color_bits: int | None = None
    window: tuple[float, float] | None = None
    voi_function: str = "LINEAR"
    voi_lut: tuple[int, ...] | None = None
    voi_lut_first: int = 0
    voi_lut_bits: int = 16
    padding: tuple[float, float] | None = None
    laterality: str | None = None
    presentation_intent: str | None = None
    presented: bool = False

    def to_text(self) -> str:
        """The text that :meth:`of` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, image: Any) -> DicomInfo | None:
        """What the metadata of ``image`` hold; None for anything that was not read from DICOM."""
        text = image.meta.get("dicom") if isinstance(image, MetaTensor) else None
        if text is None:
            return None
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}
        return cls(**fields)


def info_of_headers(
    headers: Sequence[Dataset],
    photometric: str,
    color_bits: int | None,
    padding: tuple[float, float] | None,
    name: str,
) -> DicomInfo:
    """What an image's transforms need of the headers of its frames.

    Args:
        headers: attributes of each frame.
        photometric: see :class:`DicomInfo`.
        color_bits: see :class:`DicomInfo`.
        padding: see :class:`DicomInfo`.
        name: what to call the image in an error.

    Raises:
        InputError: when frames differ in how their values are shown, or DICOM knows no such way.
    """
    functions = {str(header.get("VOILUTFunction") or "LINEAR").upper() for header in headers}
    tables = {_voi_lut(header) for header in headers}
    if len(functions) > 1 or len(tables) > 1:
        raise InputError(f"{name}: its slices differ in VOI LUT; give each a folder of its own")
    function, table = functions.pop(), tables.pop()
    if function not in VOI_FUNCTIONS:
        raise InputError(f"{name}: its VOI LUT Function is none of {', '.join(VOI_FUNCTIONS)}; correct the header")
    lateralities = {_laterality(header) for header in headers}
    intents = {_one_of(header.get("PresentationIntentType"), INTENTS) for header in headers}
    first, bits, entries = table or (0, 16, None)
    return DicomInfo(
        photometric=photometric,
        color_bits=color_bits,
        window=_window(headers),
        voi_function=function,
        voi_lut=entries,
        voi_lut_first=first,
        voi_lut_bits=bits,
        padding=padding,
        laterality=lateralities.pop() if len(lateralities) == 1 else None,
        presentation_intent=intents.pop() if len(intents) == 1 else None,
    )


def _window(headers: Sequence[Dataset]) -> tuple[float, float] | None:
    """The smallest window that covers the first one of every frame."""
    windows = {(_first(header.get("WindowCenter")), _first(header.get("WindowWidth"))) for header in headers}
    given = [(center, width) for center, width in windows if center is not None and width is not None]
    if len(given) < 2:
        return given[0] if given else None
    low, high = min(c - w / 2 for c, w in given), max(c + w / 2 for c, w in given)
    return (low + high) / 2, high - low


def _first(value: Any) -> float | None:
    """The first of the numbers of an element that can hold none, one or several."""
    if isinstance(value, MultiValue):
        value = value[0]
    return None if value in (None, "") else float(value)


def _voi_lut(header: Dataset) -> tuple[int, int, tuple[int, ...]] | None:
    """First mapped value, bits and entries of the first VOI lookup table."""
    sequence = header.get("VOILUTSequence")
    if not sequence or "LUTData" not in sequence[0] or "LUTDescriptor" not in sequence[0]:
        return None
    count, first, bits = (int(value) for value in sequence[0].LUTDescriptor)
    count, data = count or 2**16, sequence[0].LUTData
    if isinstance(data, bytes):
        order = "<" if header.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.frombuffer(data, np.uint8 if len(data) == count else f"{order}u2")
    entries = tuple(int(value) for value in data[:count])
    if len(entries) < count or max(entries) >= 2**bits:
        raise ValueError(f"its VOI LUT has {len(entries)} entries up to {max(entries)}, not {count} of {bits} bits")
    return first, bits, entries


def _laterality(header: Dataset) -> str | None:
    for keyword in ("ImageLaterality", "Laterality", "FrameLaterality"):
        found = _one_of(header.get(keyword), LATERALITIES)
        if found:
            return found
    return None


def _one_of(value: Any, known: Sequence[str]) -> str | None:
    """``value`` where it is a known one, so that no free text gets through."""
    return value if value in known else None
