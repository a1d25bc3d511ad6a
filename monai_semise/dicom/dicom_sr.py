# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

import monai_semise
from monai_semise.dicom.highdicom_parts import MAKER, algorithm, dicom_text, discreet, instance, require_highdicom
from monai_semise.dicom.source_headers import Paths, name_of, read_source_headers
from monai_semise.utils import InputError, write_whole

__all__ = ["SCHEME", "write_severity_sr"]

SERIES_NUMBER = 9002
KIND = "DICOM SR"
SCHEME = "99SEMISE"
"""Designator of the private codes; docs/dicom.md lists them."""
SCORE = Code("SCORE", SCHEME, "Severity score")
POSITION = Code("POSITION", SCHEME, "Severity on the grade scale")
LOW = Code("LOW", SCHEME, "Lower end of the severity interval")
HIGH = Code("HIGH", SCHEME, "Upper end of the severity interval")
COVERAGE = Code("COVERAGE", SCHEME, "Coverage of the severity interval")
GRADE = Code("GRADE", SCHEME, "Severity grade")
IMAGING = Code("363679005", "SCT", "Imaging procedure")


def write_severity_sr(
    path: str | os.PathLike,
    source: Paths,
    score: float,
    position: float | None = None,
    interval: tuple[float, float] | None = None,
    coverage: float | None = None,
    grade: int | None = None,
    grade_names: Sequence[str] | None = None,
    probabilities: Sequence[float] = (),
) -> None:
    """Write the severity of an image as a DICOM structured report (TID 1500, Measurement Report).

    **The file carries the identity of its source by design**: DICOM asks for patient and study, and an archive files
    the result by them. It belongs where the source belongs, unlike every other output of this package.

    All numbers are without unit, and stand under private codes (:data:`SCHEME`). The report is complete, unverified and
    preliminary.

    Args:
        path: file to write, whole or not at all.
        source: the image's files, as :class:`~monai_semise.data.DicomReader` takes them.
        score: severity score.
        position: on the grade scale.
        interval: lower and upper end of the conformal interval around it.
        coverage: share of images whose grade such intervals hold, in (0, 1).
        grade: from 0.
        grade_names: name of each grade; of one without a name there is only the number.
        probabilities: of each grade.

    Raises:
        InputError: when highdicom is not installed, or no report can refer to the source, or a number is not
            finite.
    """
    hd = require_highdicom(KIND)
    low, high = (None, None) if interval is None else interval
    numbers = [(SCORE, score), (POSITION, position), (LOW, low), (HIGH, high), (COVERAGE, coverage), (GRADE, grade)]
    numbers += [
        (Code(f"PROBABILITY{n}", SCHEME, f"Probability of grade {n}"), value) for n, value in enumerate(probabilities)
    ]
    numbers = [(concept, value) for concept, value in numbers if value is not None]
    if not all(math.isfinite(value) for _, value in numbers):
        raise InputError(f"{name_of(source)}: its severity is not finite, which no {KIND} can hold")
    measurements = [
        hd.sr.Measurement(name=concept, value=float(value), unit=codes.UCUM.NoUnits) for concept, value in numbers
    ]
    evaluations = []
    if grade is not None and grade_names is not None and grade < len(grade_names):
        named = Code(f"GRADE{grade}", SCHEME, dicom_text(grade_names[grade]))
        evaluations = [hd.sr.QualitativeEvaluation(name=GRADE, value=named)]
    scheme = hd.coding_schemes.CodingSchemeIdentificationItem(SCHEME, name=f"Private codes of {MAKER}")
    observer = _observer(hd)
    with discreet(name_of(source), KIND):
        headers = read_source_headers(source)
        group = hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier="severity"),
            source_images=[
                hd.sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID) for header in headers
            ],
            algorithm_id=hd.sr.AlgorithmIdentification(**algorithm()),
            measurements=measurements,
            qualitative_evaluations=evaluations,
        )
        report = hd.sr.EnhancedSR(
            evidence=headers,
            content=hd.sr.MeasurementReport(
                observation_context=observer, procedure_reported=IMAGING, imaging_measurements=[group]
            ),
            is_complete=True,
            coding_schemes=[scheme],
            **instance(hd, SERIES_NUMBER, "Severity"),
        )
        with write_whole(path, "wb") as stream:
            report.save_as(stream, enforce_file_format=True)


def _observer(hd: Any) -> Any:
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
                uid=generate_uid(entropy_srcs=[MAKER, monai_semise.__version__]),  # the same program, the same observer
                name=MAKER,
                manufacturer_name=MAKER,
                model_name=MAKER,
            ),
        )
    )
