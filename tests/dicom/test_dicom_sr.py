# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import sys

import pydicom
import pytest

from monai_semise import __version__
from monai_semise.dicom import write_severity_sr
from monai_semise.utils import InputError
from tests.data.dicom_files import bundled
from tests.dicom.sources import AXIAL, PATIENT, UNPLACED, complaints, ct_series, enhanced_mr, unplaced

highdicom = pytest.importorskip("highdicom")

FULL = {
    "score": 0.123456789,
    "position": 2.345,
    "interval": (1.5, 3.25),
    "coverage": 0.9,
    "grade": 2,
    "grade_names": ["none", "mild", "schwer\\ä", "proliferative"],
    "probabilities": [0.1, 0.2, 0.6, 0.1],
}
NUMBERS = {
    "SCORE": 0.123456789,
    "POSITION": 2.345,
    "LOW": 1.5,
    "HIGH": 3.25,
    "COVERAGE": 0.9,
    "GRADE": 2,
    "PROBABILITY0": 0.1,
    "PROBABILITY1": 0.2,
    "PROBABILITY2": 0.6,
    "PROBABILITY3": 0.1,
}


def group_of(path):
    """The one measurement group, as highdicom reads it."""
    report = highdicom.sr.srread(path)
    (group,) = report.content.get_image_measurement_groups()
    return group


def numbers_of(path):
    return {measurement.name.value: measurement.value for measurement in group_of(path).get_measurements()}


def test_numbers_are_read_back(tmp_path):
    path = tmp_path / "sr" / "a.dcm"
    write_severity_sr(path, unplaced(tmp_path / "a.dcm"), **FULL)
    assert numbers_of(path) == pytest.approx(NUMBERS, rel=1e-12)
    for measurement in group_of(path).get_measurements():
        assert (measurement.unit.value, measurement.unit.scheme_designator) == ("1", "UCUM")
        assert measurement.name.scheme_designator == "99SEMISE"
    (evaluation,) = group_of(path).get_qualitative_evaluations()
    assert evaluation.name.value == "GRADE"
    assert (evaluation.value.value, evaluation.value.meaning) == ("GRADE2", "schwer_ä")
    assert complaints(path) == {"Error": [], "Warning": []}


def test_score_alone(tmp_path):
    write_severity_sr(tmp_path / "sr.dcm", unplaced(tmp_path / "a.dcm"), 1e-20)
    assert numbers_of(tmp_path / "sr.dcm") == {"SCORE": 1e-20}
    assert group_of(tmp_path / "sr.dcm").get_qualitative_evaluations() == []
    assert complaints(tmp_path / "sr.dcm")["Error"] == []


def test_grade_without_a_name(tmp_path):
    write_severity_sr(tmp_path / "sr.dcm", unplaced(tmp_path / "a.dcm"), 0.5, grade=1)
    assert numbers_of(tmp_path / "sr.dcm") == {"SCORE": 0.5, "GRADE": 1}


@pytest.mark.parametrize("kind", [*UNPLACED, "series", "multi-frame"])
def test_report_refers_to_every_file_of_the_source(tmp_path, kind):
    if kind == "series":
        source = ct_series(tmp_path / "s", AXIAL)
    elif kind == "multi-frame":
        source = enhanced_mr(tmp_path / "e.dcm", AXIAL, [1, 0, 2])
    else:
        source = unplaced(tmp_path / "a.dcm", kind)
    write_severity_sr(tmp_path / "sr.dcm", source, **FULL)
    files = [pydicom.dcmread(file) for file in (source.iterdir() if source.is_dir() else [source])]
    expected = {(file.SOPClassUID, file.SOPInstanceUID) for file in files}
    images = group_of(tmp_path / "sr.dcm").source_images
    assert {(image.referenced_sop_class_uid, image.referenced_sop_instance_uid) for image in images} == expected
    evidence = highdicom.sr.srread(tmp_path / "sr.dcm").get_evidence()
    assert {(sop_class, instance) for _, _, instance, sop_class in evidence} == expected
    assert complaints(tmp_path / "sr.dcm") == {"Error": [], "Warning": []}


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "examples_rgb_color.dcm"])
def test_images_of_real_devices(tmp_path, name):
    write_severity_sr(tmp_path / "sr.dcm", bundled(name), **FULL)
    assert numbers_of(tmp_path / "sr.dcm") == pytest.approx(NUMBERS)
    assert complaints(tmp_path / "sr.dcm")["Error"] == []


def test_report_says_whose_and_who_made_it(tmp_path):
    write_severity_sr(tmp_path / "sr.dcm", unplaced(tmp_path / "a.dcm"), **FULL)
    dataset = pydicom.dcmread(tmp_path / "sr.dcm")
    assert {key: dataset[key].value for key in PATIENT if key != "SpecificCharacterSet"} == {
        key: value for key, value in PATIENT.items() if key != "SpecificCharacterSet"
    }
    assert (dataset.CompletionFlag, dataset.VerificationFlag, dataset.PreliminaryFlag) == (
        "COMPLETE",
        "UNVERIFIED",
        "PRELIMINARY",
    )
    texts = {element.value for element in dataset.iterall() if element.keyword == "TextValue"}
    assert {"monai_semise", __version__, "severity"} <= texts


def test_source_that_cannot_be_referred_to(tmp_path):
    source = unplaced(tmp_path / "a.dcm")
    dataset = pydicom.dcmread(source)
    del dataset.StudyInstanceUID
    dataset.save_as(source)
    with pytest.raises(InputError, match=r"a\.dcm: lacks StudyInstanceUID, by which a DICOM result refers to it"):
        write_severity_sr(tmp_path / "sr.dcm", source, **FULL)
    with pytest.raises(InputError, match=r"a\.dcm: no DICOM SR can be made of it"):
        write_severity_sr(tmp_path / "sr.dcm", unplaced(tmp_path / "a.dcm", SOPClassUID="1.2.3.4"), **FULL)
    assert not (tmp_path / "sr.dcm").exists()


@pytest.mark.parametrize("numbers", [{"score": float("nan")}, {"score": 0.5, "interval": (0.0, float("inf"))}])
def test_numbers_that_are_not_finite(tmp_path, numbers):
    with pytest.raises(InputError, match=r"a\.dcm: its severity is not finite"):
        write_severity_sr(tmp_path / "sr.dcm", unplaced(tmp_path / "a.dcm"), **numbers)


def test_without_highdicom(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(InputError, match=r'DICOM SR: needs .*pip install "monai-semise\[dicom\]"'):
        write_severity_sr(tmp_path / "sr.dcm", unplaced(tmp_path / "a.dcm"), **FULL)


def test_a_grade_without_a_name_is_a_number_alone(tmp_path):
    write_severity_sr(tmp_path / "sr.dcm", unplaced(tmp_path / "a.dcm"), 0.5, grade=3, grade_names=["a", "b"])
    assert "GRADE3" not in str(pydicom.dcmread(tmp_path / "sr.dcm"))
