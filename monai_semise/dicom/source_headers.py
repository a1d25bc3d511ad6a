# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pydicom
from monai.utils import ensure_tuple
from pydicom import FileDataset
from pydicom.valuerep import DA, TM

from monai_semise.data import DicomReader
from monai_semise.utils import InputError

__all__ = ["Paths", "name_of", "read_source_headers"]

Paths = str | os.PathLike | Sequence[str | os.PathLike]

IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""Elements of patient and study that a DICOM file must have, but with or without a value."""
READERS = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM, "PatientSex": ("M", "F", "O").index}
"""What raises a ValueError for a value that DICOM does not know."""
DEIDENTIFICATION_CODES = "DeidentificationMethodCodeSequence"


def name_of(source: Paths) -> str:
    """What to call an image in an error."""
    paths = ensure_tuple(source)
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def read_source_headers(source: Paths) -> list[FileDataset]:
    """The headers of an image's files, without pixels, ready for highdicom to take patient and study from.

    Args:
        source: as :class:`~monai_semise.data.DicomReader` takes it: a file, the folder of a series, or a list of files.

    Returns:
        the header of each file.

    Raises:
        InputError: when a file is not DICOM, lacks an identifier by which the result could refer to it, is of another
            study than the first, or has a date, time or sex that DICOM does not know.
    """
    headers = [_read(file) for path in ensure_tuple(source) for file in _files(Path(path))]
    if len({header.StudyInstanceUID for header in headers}) > 1:
        raise InputError(f"{name_of(source)}: its files are of several studies; give each a result of its own")
    return headers


def _files(path: Path) -> list[str]:
    if not DicomReader().verify_suffix(path):
        raise InputError(f"{path}: is not a DICOM file; its result cannot be one either")
    if path.is_dir():
        return [name for found in DicomReader().read(path) for name, _ in found.datasets]
    return [str(path)]


def _read(file: str) -> FileDataset:
    header = pydicom.dcmread(file, force=True, stop_before_pixels=True)
    missing = [keyword for keyword in IDENTIFIERS if not header.get(keyword)]
    if missing:
        raise InputError(f"{file}: lacks {', '.join(missing)}, by which a DICOM result refers to it; add them")
    for keyword, read in READERS.items():
        value = header.get(keyword)
        try:
            if value:
                read(value)
        except ValueError as error:
            raise InputError(f"{file}: its {keyword} is not as DICOM writes it; correct the header") from error
    for keyword in MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, None)
    deidentified = header.get("PatientIdentityRemoved") == "YES"
    if deidentified and not any(header.get(keyword) for keyword in ("DeidentificationMethod", DEIDENTIFICATION_CODES)):
        header.DeidentificationMethod = "not stated by the source"  # must be said, and public data sets often do not
    return header
