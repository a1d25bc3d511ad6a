# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom import FileDataset, config, encaps

from monai_semise.data.pydicom_versions import HAS_PIXELS, handlers, pixels
from monai_semise.utils import InputError

__all__ = ["apply_color_lut", "apply_modality_lut", "decode_pixels", "decoders"]

tables = pixels if HAS_PIXELS else handlers
apply_color_lut, apply_modality_lut = tables.apply_color_lut, tables.apply_modality_lut

INSTALL = 'pip install "monai-semise[dicom]"'


def decode_pixels(dataset: FileDataset, name: str) -> np.ndarray:
    """All frames as they are stored; color as RGB, but for a palette.

    Args:
        dataset: with its pixels.
        name: what to call the file in an error.

    Returns:
        shape ([frames,] rows, columns[, 3]).

    Raises:
        InputError: when pixels are missing, cut short or damaged, or no decoder for them is installed.
    """
    if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise InputError(f"{name}: has no pixel data, or is cut short; restore the file, or remove the item")
    syntax = dataset.file_meta.TransferSyntaxUID
    known, missing = decoders(syntax)
    if not known:
        raise InputError(
            f"{name}: nothing decodes its transfer syntax, {syntax.name}; convert the file to another, or remove the "
            "item"
        )
    install = f"{INSTALL} (not installed: {'; '.join(missing)})"
    if len(missing) == known:
        raise InputError(f"{name}: no decoder for its transfer syntax, {syntax.name}, is installed; use {install}")
    try:
        return pixels.pixel_array(dataset) if HAS_PIXELS else _decode_with_handlers(dataset)
    except Exception as error:
        missing_frame = isinstance(error, StopIteration)
        reason = "it has fewer frames than the header says" if missing_frame else " ".join(str(error).split())[:300]
        remedy = f", or try more decoders with {install}" if missing else ""
        raise InputError(
            f"{name}: pixel data ({syntax.name}) cannot be decoded ({reason}); restore the file{remedy}"
        ) from error


def decoders(syntax: Any) -> tuple[int, list[str]]:
    """How many decoders there are for a transfer syntax, and what those that are not installed need."""
    if HAS_PIXELS:
        try:
            decoder = pixels.get_decoder(syntax)
        except NotImplementedError:
            return 0, []
        missing = list(decoder.missing_dependencies)
        return len(missing) + int(decoder.is_available), missing
    known = [handler for handler in config.pixel_data_handlers if handler.supports_transfer_syntax(syntax)]  # type: ignore[attr-defined]
    return len(known), [handler.HANDLER_NAME for handler in known if not handler.is_available()]


def _decode_with_handlers(dataset: FileDataset) -> np.ndarray:
    """As pydicom 3 decodes; of the decoders of pydicom 2, only Pillow makes RGB of YCbCr."""
    photometric, syntax = str(dataset.PhotometricInterpretation), dataset.file_meta.TransferSyntaxUID
    known = [handler for handler in config.pixel_data_handlers if handler.supports_transfer_syntax(syntax)]  # type: ignore[attr-defined]
    first = next(handler for handler in known if handler.is_available())
    n_frames = int(dataset.get("NumberOfFrames") or 1)
    if syntax.is_compressed and len(list(encaps.generate_pixel_data_frame(dataset.PixelData, n_frames))) < n_frames:
        raise StopIteration
    values: np.ndarray = dataset.pixel_array
    if photometric.startswith("YBR_FULL") and first.HANDLER_NAME != "Pillow":
        values = handlers.convert_color_space(values, photometric, "RGB", per_frame=True)
    return values
