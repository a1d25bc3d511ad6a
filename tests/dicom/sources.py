# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Images as modalities write them, and what dciodvfy says about a result."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    EnhancedMRImageStorage,
    OphthalmicPhotography8BitImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    generate_uid,
)

from monai_semise.dicom.dicom_sr import SCHEME
from tests.data.dicom_files import item, make_dicom, write_dicom, write_series

PATIENT = {
    "PatientName": "Döe^Jané",
    "PatientID": "P-4711",
    "PatientBirthDate": "19470811",
    "PatientSex": "F",
    "StudyInstanceUID": generate_uid(entropy_srcs=["study"]),
    "StudyID": "7",
    "StudyDate": "20240229",
    "StudyTime": "101112",
    "AccessionNumber": "ACC0815",
    "ReferringPhysicianName": "House^G",
    "SpecificCharacterSet": "ISO_IR 100",
}
FRAME_OF_REFERENCE = generate_uid(entropy_srcs=["frame of reference"])
AXIAL = np.diag([0.5, 0.8, 2.5, 1.0])
TILTED = np.array([[0.6, 0, -1.6, 5], [0, 0.5, 0, -7], [0.8, 0, 1.2, 9], [0, 0, 0, 1.0]])
MIRRORED = AXIAL @ np.diag([-1, 1, 1, 1])
"""Columns run from left to right of the patient: the slices' normal points to the feet."""
UNPLACED = {
    "mammogram": (DigitalMammographyXRayImageStorageForPresentation, "MG"),
    "fundus": (OphthalmicPhotography8BitImageStorage, "OP"),
    "ultrasound": (UltrasoundImageStorage, "US"),
    "secondary capture": (SecondaryCaptureImageStorage, "OT"),
}
"""SOP class and modality of kinds of images without a place in the patient."""


def volume_of(n_slices=5):
    """Distinct values in every slice, row and column; shape (columns, rows, slices) = (11, 7, slices)."""
    return np.random.default_rng(n_slices).permutation(11 * 7 * n_slices).reshape(11, 7, n_slices).astype(np.uint16)


def ct_series(folder, affine, n_slices=5, **elements):
    """A folder with a CT series, whose file names and instance numbers tell nothing of the order."""
    given = {"SOPClassUID": CTImageStorage, "Modality": "CT", "SliceThickness": 2, **PATIENT, **elements}
    return write_series(folder, volume_of(n_slices), affine, **{"FrameOfReferenceUID": FRAME_OF_REFERENCE, **given})


def unplaced(path, kind="secondary capture", pixels=None, **elements):
    """A file with one frame of a kind of :data:`UNPLACED`, shape (columns, rows) = (11, 7)."""
    sop_class, modality = UNPLACED[kind]
    pixels = volume_of(1)[:, :, 0].T if pixels is None else pixels
    if kind == "fundus":  # a file of frames, though of one
        elements = {"NumberOfFrames": 1, **elements}
    return write_dicom(path, pixels, **{"SOPClassUID": sop_class, "Modality": modality, **PATIENT, **elements})


def enhanced_mr(path, affine, order, **elements):
    """A multi-frame file with the slices of :func:`volume_of` in the order given."""
    volume, spacing = volume_of(len(order)), np.linalg.norm(affine[:3, :2], axis=0)
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=(affine[:3, :2] / spacing).T.ravel().tolist())],
        PixelMeasuresSequence=[item(PixelSpacing=spacing[::-1].tolist(), SliceThickness=2)],
    )
    frames = [
        item(PlanePositionSequence=[item(ImagePositionPatient=(affine[:3, 3] + n * affine[:3, 2]).round(6).tolist())])
        for n in order
    ]
    dataset = make_dicom(
        volume.transpose(2, 1, 0)[list(order)],
        SOPClassUID=EnhancedMRImageStorage,
        Modality="MR",
        FrameOfReferenceUID=FRAME_OF_REFERENCE,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
        **{**PATIENT, **elements},
    )
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def complaints(path):
    """Lines with which dciodvfy finds an error or gives a warning, by these words.

    That it does not know our private codes is no complaint.
    """
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", timeout=60)
    lines = (done.stdout + done.stderr).splitlines()
    assert lines, "dciodvfy names at least the IOD"
    lines = [line for line in lines if not line.startswith(f"Warning - Unrecognized defined term <{SCHEME}>")]
    return {word: [line for line in lines if line.startswith(word)] for word in ("Error", "Warning")}
