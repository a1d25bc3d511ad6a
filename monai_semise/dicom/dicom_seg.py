# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.sr.codedict import codes

from monai_semise.data.dicom_frames import frame_header
from monai_semise.data.dicom_geometry import order_and_affine
from monai_semise.dicom.highdicom_parts import algorithm, dicom_text, discreet, instance, require_highdicom
from monai_semise.dicom.source_headers import Paths, name_of, read_source_headers
from monai_semise.utils import InputError, write_whole

__all__ = ["write_dicom_seg"]

SERIES_NUMBER = 9001
KIND = "DICOM SEG"


def write_dicom_seg(
    path: str | os.PathLike, source: Paths, masks: np.ndarray | Sequence[np.ndarray], structures: Sequence[str]
) -> None:
    """Write masks as a binary DICOM Segmentation of the image that they belong to.

    **The file carries the identity of its source by design**: DICOM asks for patient and study, and an archive files
    the result by them. It belongs where the source belongs, unlike every other output of this package.

    Each structure is a segment (algorithm type AUTOMATIC) with its name as label; all have the same general code, a
    lesion. Frames that show nothing are left out, but where a structure is absent throughout, all frames of all
    structures are written, so that "not found" stands in the file too.

    Images without a place in the patient (radiographs, mammograms, fundus photographs, ultrasound) are taken as single
    frames. Several frames need a frame of reference, positions and orientation.

    Args:
        path: file to write, whole or not at all.
        source: the image's files, as :class:`~monai_semise.data.DicomReader` takes them.
        masks: what is not 0 is inside; shape (S, x, y) or (S, x, y, slices), axes and order of slices as that reader
            gives them.
        structures: S names.

    Raises:
        InputError: when highdicom is not installed, the masks are of another size than the image, or the source cannot
            have a segmentation.
    """
    hd = require_highdicom(KIND)
    name = name_of(source)
    segments = [_segment(hd, n, structure) for n, structure in enumerate(structures, 1)]
    with discreet(name, KIND):
        headers = read_source_headers(source)
        frames = [frame_header(header, n) for header in headers for n in range(_n_frames(header))]
        if len(headers) > 1 and len(frames) > len(headers):
            raise InputError(f"{name}: several files of several frames have no {KIND}; give each a result of its own")
        lacking = _lacking(headers[0], frames)
        if lacking and len(frames) > 1:
            raise InputError(f"{name}: its {len(frames)} frames have no {' and no '.join(lacking)}, as a {KIND} needs")
        planes = _planes(masks, len(structures), headers[0], len(frames), name)
        order, affine = order_and_affine(frames, name, one_file=len(headers) == 1)
        if len(headers) > 1:
            headers = [headers[n] for n in order]
        else:  # highdicom takes the frames of a file in the order of the file
            planes = planes[np.argsort(order)]
        _prepare(headers[0], affine, len(frames), bool(lacking), name)
        segmentation = hd.seg.Segmentation(
            source_images=headers,
            pixel_array=planes,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
            device_serial_number="0",  # must not be empty, and software has none
            omit_empty_frames=bool(planes.any(axis=(0, 1, 2)).all()),
            content_label="SEGMENTATION",
            **instance(hd, SERIES_NUMBER, "Masks"),
        )
        if lacking:  # then DICOM wants the element, as highdicom does not know
            segmentation.PatientOrientation = headers[0].get("PatientOrientation")
        shared = segmentation.SharedFunctionalGroupsSequence[0]
        if "PixelMeasuresSequence" in shared and not shared.PixelMeasuresSequence[0]:  # see _prepare
            del shared.PixelMeasuresSequence
        with write_whole(path, "wb") as stream:
            segmentation.save_as(stream, enforce_file_format=True)


def _n_frames(header: Dataset) -> int:
    return int(header.get("NumberOfFrames") or 1)


def _planes(
    masks: np.ndarray | Sequence[np.ndarray], n_structures: int, header: Dataset, n_frames: int, name: str
) -> np.ndarray:
    """Masks as highdicom takes them: 0 and 1, shape (frames, rows, columns, structures)."""
    inside = np.asarray(masks) != 0
    expected = (n_structures, header.Columns, header.Rows, *([n_frames] if n_frames > 1 else []))
    if inside.shape != expected:
        raise InputError(f"{name}: its masks have shape {inside.shape}, not {expected} (structures, x, y[, slices])")
    return inside.reshape(*expected[:3], n_frames).transpose(3, 2, 1, 0).astype(np.uint8)


def _lacking(header: Dataset, frames: Sequence[Dataset]) -> list[str]:
    """What an image lacks to have a place in the patient."""
    lacking = [] if header.get("FrameOfReferenceUID") else ["frame of reference"]
    lacking += [
        what
        for keyword, what in (("ImagePositionPatient", "position"), ("ImageOrientationPatient", "orientation"))
        if not all(frame.get(keyword) for frame in frames)
    ]
    return lacking


def _prepare(header: Dataset, affine: np.ndarray, n_frames: int, unplaced: bool, name: str) -> None:
    """Give a header, in memory, what highdicom looks for in it."""
    if unplaced:
        header.NumberOfFrames = 1
        if "SharedFunctionalGroupsSequence" not in header:  # photographs of the eye are files of frames without groups
            header.SharedFunctionalGroupsSequence = [Dataset()]
        groups = header.SharedFunctionalGroupsSequence[0]
        if "PixelMeasuresSequence" not in groups:
            groups.PixelMeasuresSequence = [Dataset()]
            if header.get("PixelSpacing"):
                groups.PixelMeasuresSequence[0].PixelSpacing = header.PixelSpacing
    elif "SharedFunctionalGroupsSequence" not in header and not header.get("SliceThickness"):
        if n_frames == 1:
            raise InputError(f"{name}: its header has no SliceThickness, as a {KIND} needs; add it")
        header.SliceThickness = round(float(np.linalg.norm(affine[:3, 2])), 6)  # as thick as the slices are far apart


def _segment(hd: Any, number: int, structure: str) -> Any:
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=dicom_text(structure),
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            family=codes.cid7162.ArtificialIntelligence, **algorithm()
        ),
    )
