# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.misc import is_dicom

__all__ = ["DICOM_SUFFIXES", "is_dicom_file", "read_header"]

DICOM_SUFFIXES = (".dcm", ".dicom")
"""Usual endings of DICOM files, in lower case; many have none."""


def is_dicom_file(path: Path) -> bool:
    """Whether a file holds a DICOM object by its ending, or else by its content; a ``DICOMDIR`` is only an index."""
    if path.name.lower().endswith(DICOM_SUFFIXES):
        return True
    try:
        return path.name.upper() != "DICOMDIR" and is_dicom(path)
    except OSError:
        return False


def read_header(path: Path, keywords: Sequence[str]) -> Dataset:
    """Elements of a DICOM header, without reading the pixels; empty when the file cannot be read.

    Args:
        path: the file.
        keywords: DICOM keywords of the elements.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they may quote the header
            header = pydicom.dcmread(path, specific_tags=list(keywords), stop_before_pixels=True, force=True)
            header.decode()  # pydicom interprets values, and warns of them, only now
            return header
    except Exception:  # pydicom raises nearly anything; who reads the pixels will say that the file is damaged
        return Dataset()
