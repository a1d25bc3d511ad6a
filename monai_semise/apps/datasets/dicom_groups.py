# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
from pathlib import Path

from tqdm import tqdm

from monai_semise.apps.datasets.dicom_files import is_dicom_file, read_header
from monai_semise.apps.datasets.image_files import FLAT_SUFFIXES, VOLUME_SUFFIXES
from monai_semise.data.collection import Collection

__all__ = ["group_by_patient"]


def group_by_patient(collection: Collection, option: str | None = None) -> None:
    """Make the PatientID in the headers of DICOM images (files or folders of a series) their group, in place.

    The identifiers are marked as private, so that they are written nowhere. Images of other formats, and those whose
    header has no PatientID, stand alone; where all do, a note says so.

    Args:
        collection: whose images have no groups.
        option: by which they can be given; None where they cannot.
    """
    headers = {record.image: _dicom_file(record.image) for record in collection.records}
    dicom = {image: file for image, file in headers.items() if file is not None}
    if not dicom:
        collection.notes.append(
            "patients are not known: images of one may lie on both sides of the split"
            + (f"; tell them with {option}" if option else "")
        )
        return
    progress = tqdm(dicom.items(), desc="Reading patients", unit="image")
    patient = {image: str(read_header(file, ["PatientID"]).get("PatientID") or "").strip() for image, file in progress}
    n_without = sum(not identifier for identifier in patient.values())
    if len({identifier for identifier in patient.values() if identifier}) == 1 and len(dicom) - n_without > 1:
        collection.notes.append("all DICOM headers hold one and the same PatientID, so the patients are not known")
        return
    collection.private_groups = True
    collection.records = [
        dataclasses.replace(record, group=patient.get(record.image) or None) for record in collection.records
    ]
    collection.notes.append("images with the same PatientID in their DICOM headers stay in one split")
    if n_without:
        collection.notes.append(f"{n_without} DICOM image(s) without a PatientID are taken for patients of their own")


def _dicom_file(image: Path) -> Path | None:
    """The file whose header tells the patient; None when the image is of another format."""
    candidates = sorted(path for path in image.iterdir() if path.is_file()) if image.is_dir() else [image]
    other = (*FLAT_SUFFIXES, *VOLUME_SUFFIXES)
    return next((path for path in candidates if not path.name.lower().endswith(other) and is_dicom_file(path)), None)
