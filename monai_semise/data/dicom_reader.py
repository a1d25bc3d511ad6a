# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple
from pydicom import FileDataset
from pydicom.misc import is_dicom

from monai_semise.data.dicom_frames import Frame, read_frames, read_header
from monai_semise.data.dicom_geometry import order_and_affine
from monai_semise.data.dicom_info import DicomInfo, info_of_headers
from monai_semise.utils import InputError

__all__ = ["DicomReader"]

# First tags of a file without preamble: group 0002 or 0008 in either byte order
FIRST_GROUPS = (b"\x02\0", b"\x08\0", b"\0\x02", b"\0\x08")


@dataclass
class Source:
    """What one path named: a file, or a folder with the files of a series."""

    name: str
    datasets: list[tuple[str, FileDataset]]


class DicomReader(ImageReader):
    """Read DICOM for MONAI's :class:`~monai.transforms.LoadImage`: a file, or a folder with the files of a series.

    A file of one frame becomes an image of shape (columns, rows); a series, or a file of several frames, a volume of
    shape (columns, rows, frames), ordered along the normal of the slices, not by name or instance number. Color comes
    last and is always RGB. Axes are those of MONAI's other readers: x, the columns, is the first. The affine is in RAS.

    Values are in modality units: the modality lookup table, or rescale slope and intercept of each frame, is applied.
    The window is not, see :class:`~monai_semise.transforms.DicomToPresentation`.

    Of the header, only the elements needed are read, and only those of :class:`~monai_semise.data.DicomInfo` are kept,
    in ``meta["dicom"]``. Images "FOR PROCESSING" are read like others; the info tells.

    pydicom decodes the pixels. What it decodes by itself, and with Pillow: uncompressed, deflated, RLE, JPEG of 8 bits,
    JPEG 2000. The ``dicom`` extra adds lossless JPEG, JPEG-LS and HTJ2K. Lossy JPEG of 12 bits needs
    ``pylibjpeg-libjpeg``, whose license is the GPL.

    Example:
        >>> from monai.transforms import LoadImage
        >>> load = LoadImage(ensure_channel_first=True)
        >>> load.register(DicomReader())  # the other readers still take what is not DICOM
        >>> load = LoadImage(reader="monai_semise.data.DicomReader")  # in a config
    """

    def verify_suffix(self, filename: Sequence[str | os.PathLike] | str | os.PathLike) -> bool:
        """Whether every path is a DICOM file, or a folder that holds one; told by content, not by extension."""
        return all(_is_dicom(Path(name)) for name in ensure_tuple(filename))

    def read(self, data: Sequence[str | os.PathLike] | str | os.PathLike, **kwargs: Any) -> list[Source]:
        """Read the needed part of the headers, and the pixels without decoding them.

        Raises:
            InputError: when a path is not DICOM, or cannot be read.
        """
        return [_read_source(Path(name)) for name in ensure_tuple(data)]

    def get_data(self, img: Sequence[Source]) -> tuple[np.ndarray, dict]:
        """Decode and assemble the pixels.

        Args:
            img: as :meth:`read` returns it. Several sources become the channels of one image.

        Returns:
            float32 array of shape (columns, rows[, frames][, 3]) in modality units or RGB, or with a first axis of
            channels for several gray sources; and the metadata.

        Raises:
            InputError: naming the file and what cannot be used: pixels missing, cut short, damaged or without a
                decoder installed (with the packages to install), or slices that make no volume.
        """
        images = [_explained(source.name, _assemble, source) for source in img]
        values, affine, info = images[0]
        for source, (other, other_affine, other_info) in zip(img, images):
            if other.shape != values.shape or not np.allclose(affine, other_affine) or other_info != info:
                raise InputError(
                    f"{source.name}: differs from {img[0].name} in size, geometry or gray scale; load them under keys "
                    "of their own, and join them with ConcatItemsd"
                )
        color = info.color_bits is not None
        spatial_shape = values.shape[:-1] if color else values.shape
        channel_dim: float = -1 if color else float("nan")
        if len(images) > 1:
            channel_dim = -1 if color else 0
            join = np.concatenate if color else np.stack
            values = join([other for other, _, _ in images], axis=channel_dim)
        return values, {
            MetaKeys.AFFINE: affine,
            MetaKeys.ORIGINAL_AFFINE: affine.copy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.asarray(spatial_shape),
            MetaKeys.ORIGINAL_CHANNEL_DIM: channel_dim,
            "dicom": info.to_text(),
        }


def _is_dicom(path: Path) -> bool:
    if path.is_dir():
        return any(_is_dicom(file) for file in _files(path))
    if not path.is_file():
        return False
    if is_dicom(path):
        return True
    with open(path, "rb") as stream:
        if stream.read(2) not in FIRST_GROUPS:
            return False
    try:
        found = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
        return "Rows" in found and "Columns" in found
    except Exception:  # whatever it is, it is not DICOM
        return False


def _files(folder: Path) -> list[Path]:
    """The files of a folder; a DICOMDIR is the index of a disk, not an image."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name.upper() != "DICOMDIR")


def _read_source(path: Path) -> Source:
    files = [file for file in (_files(path) if path.is_dir() else [path]) if _is_dicom(file)]
    if not files:
        raise InputError(f"{path}: {'holds no DICOM file' if path.is_dir() else 'is not a DICOM file'}")
    return Source(str(path), [(str(file), _explained(str(file), read_header, file)) for file in files])


def _explained(name: str, function: Callable, *args: Any) -> Any:
    """``function(*args)``, whose errors become an :class:`InputError` that names the file."""
    try:
        return function(*args)
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{name}: cannot be read as DICOM ({reason}); restore the file, or remove the item") from error


def _assemble(source: Source) -> tuple[np.ndarray, np.ndarray, DicomInfo]:
    """Values of shape (columns, rows[, frames][, 3]), affine and info of one source."""
    frames = [frame for name, dataset in source.datasets for frame in _explained(name, read_frames, dataset, name)]
    for what, found in {
        "series": {frame.header.get("SeriesInstanceUID") for frame in frames},
        "size": {frame.values.shape for frame in frames},
        "photometric interpretation": {(frame.photometric, frame.color_bits) for frame in frames},
    }.items():
        if len(found) > 1:
            raise InputError(
                f"{source.name}: its slices differ in {what} ({len(found)} found); give each a folder of its own"
            )
    headers = [frame.header for frame in frames]
    order, affine = order_and_affine(headers, source.name, one_file=len(source.datasets) == 1)
    frames = [frames[n] for n in order]
    values = np.stack([frame.values for frame in frames])
    photometric, color_bits = frames[0].photometric, frames[0].color_bits
    padding = _padding(values, frames)
    values = np.moveaxis(values.swapaxes(1, 2), 0, 2)
    values = values[:, :, 0] if len(frames) == 1 else values
    return np.ascontiguousarray(values), affine, info_of_headers(headers, photometric, color_bits, padding, source.name)


def _padding(values: np.ndarray, frames: Sequence[Frame]) -> tuple[float, float] | None:
    """Range of values that tells the padding pixels from the others.

    Where none does (slices with rescale slopes of their own, a lookup table), the padding is set below all values.
    """
    if all(frame.padded is None or not frame.padded.any() for frame in frames):
        return None
    padded = np.stack([np.zeros(values.shape[1:], bool) if f.padded is None else f.padded for f in frames])
    low, high = float(values[padded].min()), float(values[padded].max())
    if ((values >= low) & (values <= high) & ~padded).any():
        low = high = float(values.min() - max(1, abs(values.min()) / 1000))
        values[padded] = low
    return low, high
