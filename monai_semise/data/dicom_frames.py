# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""From a DICOM file to its frames: decoded pixels in modality units, each with the attributes that apply to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import cast

import numpy as np
import pydicom
from pydicom import Dataset, FileDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from monai_semise.data.pixel_decoding import apply_color_lut, apply_modality_lut, decode_pixels
from monai_semise.utils import InputError

__all__ = ["Frame", "frame_header", "read_frames", "read_header"]

PIXEL_TAGS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "PixelPresentation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "PixelData",
)
FRAME_TAGS = (
    "SeriesInstanceUID",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PresentationIntentType",
    "ImageLaterality",
    "Laterality",
    "FrameLaterality",
)
MACROS = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "FrameAnatomySequence",
)
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
# A whole-slide image's frames are tiles of one plane, not slices
TAGS = [*PIXEL_TAGS, *FRAME_TAGS, *GROUPS, "TotalPixelMatrixColumns"]

GRAY = ("MONOCHROME1", "MONOCHROME2")
COLOR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


@dataclass
class Frame:
    """One frame.

    Attributes:
        values: shape (rows, columns) in modality units (Hounsfield units, ...), or (rows, columns, 3) in RGB; float32.
        padded: which pixels pad the image, shape (rows, columns); None without padding.
        header: the attributes that apply to this frame, whether the file gives them for all or for each.
        photometric: ``"MONOCHROME1"``, ``"MONOCHROME2"`` or ``"RGB"``.
        color_bits: bits of one color sample; None for gray frames.
    """

    values: np.ndarray
    padded: np.ndarray | None
    header: Dataset
    photometric: str
    color_bits: int | None


def read_header(path: str | os.PathLike) -> FileDataset:
    """Read a file, of whose elements only those that the package needs are kept.

    A file that does not name its transfer syntax, such as one without preamble, gets one of the byte order that pydicom
    found.
    """
    dataset = pydicom.dcmread(path, force=True, specific_tags=list(TAGS))
    if "TransferSyntaxUID" not in dataset.file_meta:
        _, little_endian = dataset.original_encoding
        # explicit or not makes no difference once the header is read
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
    return dataset


def read_frames(dataset: FileDataset, name: str) -> list[Frame]:
    """Decode all frames, and bring them to modality units or RGB.

    Args:
        dataset: as :func:`read_header` returns it.
        name: what to call the file in an error.

    Raises:
        InputError: when pixels are missing, cut short or damaged, when no decoder for them is installed, or when they
            are in a form that cannot be made gray or RGB.
    """
    stored = decode_pixels(dataset, name)
    photometric, color_bits = str(dataset.PhotometricInterpretation), None
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)[..., :3]
        photometric, color_bits = "RGB", stored.itemsize * 8
    elif photometric in COLOR:  # decoding made them RGB
        photometric, color_bits = "RGB", int(dataset.BitsStored)
    elif photometric not in GRAY:
        raise InputError(
            f"{name}: photometric interpretation {photometric} is not supported; convert it to gray or RGB"
        )
    if stored.ndim == (2 if color_bits is None else 3):
        stored = stored[None]
    if len(stored) > 1 and "TotalPixelMatrixColumns" in dataset:
        raise InputError(f"{name}: is a tiled whole-slide image; export the region of interest, or remove the item")
    frames = []
    for n, pixels in enumerate(stored):
        header = frame_header(dataset, n)
        padded = None
        if color_bits is None:
            padded, pixels = _padded(pixels, header), _modality_values(pixels, header)
        frames.append(Frame(pixels.astype(np.float32), padded, header, photometric, color_bits))
    return frames


def frame_header(dataset: FileDataset, frame: int) -> Dataset:
    """The attributes of one frame; what a functional group says goes before what the whole file says."""
    items: list[Dataset] = [dataset]
    for keyword, n in zip(GROUPS, (0, frame)):
        groups = dataset.get(keyword) or ()
        if n < len(groups):
            items += [groups[n][macro][0] for macro in MACROS if groups[n].get(macro)]
    header = Dataset()
    header.file_meta = dataset.file_meta  # tells pydicom the byte order of lookup tables
    for item in items:
        for tag in FRAME_TAGS:
            if tag in item:
                header.add(item[tag])
    return header


def _padded(stored: np.ndarray, header: Dataset) -> np.ndarray | None:
    value = header.get("PixelPaddingValue")
    if value is None:
        return None
    limit = header.get("PixelPaddingRangeLimit")
    # Scanners write the padding value of signed pixels as unsigned (63536 for -2000): same bits, same value
    ends = np.array([value, value if limit is None else limit]).astype(stored.dtype)
    return (stored >= ends.min()) & (stored <= ends.max())


def _modality_values(stored: np.ndarray, header: Dataset) -> np.ndarray:
    if header.get("ModalityLUTSequence"):
        stored = stored.astype(np.int64)  # pydicom looks up in the type of the pixels, which can overflow
    return cast(np.ndarray, apply_modality_lut(stored, header))
