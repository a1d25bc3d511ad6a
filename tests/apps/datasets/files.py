# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Small files in the layouts of data sets, and the command line that reads them."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

from monai_semise.__main__ import main
from monai_semise.data.pydicom_versions import FILE_FORMAT

ROWS, COLUMNS = 16, 12
SECRETS = {"PatientName": "Doe^Jane", "PatientID": "P-4711", "PatientBirthDate": "19510203", "StudyDate": "20200304"}
"""What no output may show."""


def pixels(path, bits=8, channels=1):
    """Noise that no other path gives, and that is nowhere black."""
    shape = (ROWS, COLUMNS, channels) if channels > 1 else (ROWS, COLUMNS)
    noise = np.random.default_rng(zlib.crc32(str(path).encode()))
    return noise.integers(1, 2**bits, shape, dtype=np.uint8 if bits <= 8 else np.uint16)


def write_image(path, channels=3):
    """Write a color image of 16 rows and 12 columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(path, channels=channels)).save(path)
    return path


def write_mask(path, rows=slice(2, 6), columns=slice(3, 8)):
    """Write a mask of 16 rows and 12 columns, 255 inside."""
    mask = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    mask[rows, columns] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def write_text(path, *lines, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def write_dicom(path, transfer_syntax=ExplicitVRLittleEndian, bits=12, **elements):
    """Write a radiograph of 16 rows and 12 columns, with a patient in its header; ``elements`` replace its own, or are
    left out where they are None."""
    values = pixels(path, bits)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = elements.pop("MediaStorageSOPClassUID", generate_uid())
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    header = {
        "SOPClassUID": DigitalMammographyXRayImageStorageForPresentation,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": generate_uid(),
        "Modality": "MG",
        "PresentationIntentType": "FOR PRESENTATION",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": ROWS,
        "Columns": COLUMNS,
        "BitsAllocated": 16,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "WindowCenter": 2048,
        "WindowWidth": 4096,
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        **SECRETS,
        **elements,
    }
    for keyword, value in header.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.PixelData = values.tobytes()
    if transfer_syntax == JPEG2000Lossless:  # pydicom encodes it with packages that we do not ask for, Pillow always
        stream = io.BytesIO()
        Image.fromarray(values).save(stream, "JPEG2000", no_jp2=True)
        dataset.PixelData = encapsulate([stream.getvalue()])
        meta.TransferSyntaxUID = JPEG2000Lossless
    elif transfer_syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    else:
        meta.TransferSyntaxUID = transfer_syntax
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, **FILE_FORMAT)
    return path


def run_datalist(name, root, out, *options):
    """Run ``python -m monai_semise datalist`` and give the datalist that it wrote."""
    assert main(["datalist", name, "--root", str(root), "--out", str(out), *options]) == 0
    return json.loads(Path(out).read_text())


def by_name(datalist):
    """Section and item of each image, by the name of its file."""
    return {
        Path(item["image"]).name: (section, item)
        for section in ("training", "validation", "test", "unlabelled")
        for item in datalist[section]
    }


def records_by_name(collection):
    return {record.image.name: record for record in collection.records}


def problems_of(collection):
    """Kind of problem of each image, by the name of its file."""
    return {problem.image.name: problem.kind for problem in collection.problems}
