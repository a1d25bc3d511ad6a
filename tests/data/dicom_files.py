# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""DICOM files to test with: small ones written here, and those that pydicom brings along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pydicom.encaps
import pytest
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from monai_semise.data.pixel_decoding import decoders
from monai_semise.data.pydicom_versions import FILE_FORMAT, HAS_PIXELS

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
SERIES = generate_uid(entropy_srcs=["series"])


def bundled(name):
    """Path of a file inside the pydicom package, where it can be decoded."""
    path = BUNDLED / name
    if not path.is_file():
        pytest.skip(f"this pydicom comes without {name}")
    syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
    known, missing = decoders(syntax)
    if len(missing) == known:
        pytest.skip(f"no decoder of {syntax.name} installed")
    return path


def encapsulated_frames(dataset, number):
    """The compressed frames of a dataset."""
    if HAS_PIXELS:
        return list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=number))
    return list(pydicom.encaps.generate_pixel_data_frame(dataset.PixelData, number))


def item(**elements):
    """A dataset, such as an item of a sequence."""
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def make_dicom(pixels, syntax=ExplicitVRLittleEndian, **elements):
    """A dataset of ``pixels``, shape ([frames, ]rows, columns[, 3]); ``elements`` are added, None takes one away."""
    pixels = np.asarray(pixels)
    color = pixels.shape[-1] == 3 and pixels.ndim > 2
    shape = pixels.shape[:-1] if color else pixels.shape
    dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = SERIES
    dataset.Rows, dataset.Columns = shape[-2:]
    if len(shape) == 3:
        dataset.NumberOfFrames = shape[0]
    dataset.SamplesPerPixel = 3 if color else 1
    dataset.PhotometricInterpretation = "RGB" if color else "MONOCHROME2"
    if color:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = pixels.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<" if syntax.is_little_endian else ">")).tobytes()
    dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def write_dicom(path, pixels, **elements):
    """Write what :func:`make_dicom` makes, and give the path."""
    pydicom.dcmwrite(path, make_dicom(pixels, **elements), **FILE_FORMAT)
    return path


def write_series(folder, volume, affine, **elements):
    """Write a volume of shape (columns, rows, slices) and an LPS affine as a folder with a file for each slice.

    Names are in an order of their own, and instance numbers run from the last slice to the first.
    """
    folder.mkdir()
    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    n_slices = volume.shape[2]
    names = np.random.default_rng(0).permutation(n_slices)
    for n in range(n_slices):
        write_dicom(
            folder / f"{names[n]:03d}",
            volume[:, :, n].T,
            **{
                "ImageOrientationPatient": (affine[:3, :2] / spacing).T.ravel().round(10).tolist(),
                "ImagePositionPatient": (affine[:3, 3] + n * affine[:3, 2]).round(6).tolist(),
                "PixelSpacing": spacing[::-1].round(6).tolist(),
                "InstanceNumber": n_slices - n,
                **{keyword: value[n] if isinstance(value, list) else value for keyword, value in elements.items()},
            },
        )
    return folder
