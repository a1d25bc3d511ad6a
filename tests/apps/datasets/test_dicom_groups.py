# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import warnings

import pytest

from monai_semise.apps.datasets.dicom_groups import group_by_patient
from monai_semise.data.collection import Collection, Record
from tests.apps.datasets.files import write_dicom, write_image, write_text


def grouped(*images):
    collection = Collection("mine", (), [Record(image, n) for n, image in enumerate(images)])
    group_by_patient(collection)
    assert [record.image for record in collection.records] == list(images)
    assert [record.severity for record in collection.records] == list(range(len(images)))
    return [record.group for record in collection.records], collection


def test_images_of_one_patient_share_a_group(tmp_path):
    files = [
        write_dicom(tmp_path / name, PatientID=patient)
        for name, patient in (("a", " p 1 "), ("b.dcm", "p 1"), ("c", "2"))
    ]
    groups, collection = grouped(*files)
    assert groups == ["p 1", "p 1", "2"]
    assert collection.private_groups
    assert collection.notes == ["images with the same PatientID in their DICOM headers stay in one split"]


def test_other_formats_are_left_alone(tmp_path):
    groups, collection = grouped(
        write_image(tmp_path / "a.png"), write_text(tmp_path / "b.nii", "x"), tmp_path / "gone.png"
    )
    assert groups == [None, None, None]
    assert not collection.private_groups
    assert collection.notes == ["patients are not known: images of one may lie on both sides of the split"]


def test_folders_of_slices(tmp_path):
    for patient in ("p1", "p2"):
        write_text(tmp_path / patient / "a.txt", "no DICOM file")
        write_image(tmp_path / patient / "b.png")
        write_dicom(tmp_path / patient / "slice", PatientID=patient)
    (tmp_path / "empty").mkdir()
    groups, _ = grouped(tmp_path / "p1", tmp_path / "p2", tmp_path / "empty")
    assert groups == ["p1", "p2", None]


@pytest.mark.parametrize("patient", [None, "", "  "])
def test_no_patient(tmp_path, patient):
    known = [write_dicom(tmp_path / name, PatientID=name) for name in "ab"]
    groups, collection = grouped(*known, write_dicom(tmp_path / "c", PatientID=patient))
    assert groups == ["a", "b", None]
    assert "1 DICOM image(s) without a PatientID are taken for patients of their own" in collection.notes


def test_one_identifier_for_all_tells_nothing(tmp_path):
    groups, collection = grouped(*(write_dicom(tmp_path / name, PatientID="ANONYMOUS") for name in "abc"))
    assert groups == [None, None, None]
    assert collection.notes == ["all DICOM headers hold one and the same PatientID, so the patients are not known"]


def test_the_only_dicom_image(tmp_path):
    groups, collection = grouped(write_dicom(tmp_path / "a", PatientID="p1"), write_image(tmp_path / "b.png"))
    assert groups == ["p1", None]
    assert len(collection.notes) == 1


def test_damaged_and_missing_files_stand_alone(tmp_path):
    good = [write_dicom(tmp_path / name, PatientID=name) for name in "ab"]
    cut = write_dicom(tmp_path / "c.dcm")
    cut.write_bytes(cut.read_bytes()[:200])
    bad = [cut, write_text(tmp_path / "d.dcm", "no DICOM file at all"), tmp_path / "gone.dcm", tmp_path / "gone"]
    groups, _ = grouped(*good, *bad)
    assert groups == ["a", "b", None, None, None, None]


def test_a_file_without_preamble(tmp_path):
    files = [write_dicom(tmp_path / f"{name}.dcm", PatientID=name) for name in "ab"]
    files[0].write_bytes(files[0].read_bytes()[132:])
    assert grouped(*files)[0] == ["a", "b"]


def test_no_warning_quotes_a_header(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = [write_dicom(tmp_path / name, PatientID=name * 100) for name in "ab"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert grouped(*files)[0] == ["a" * 100, "b" * 100]
