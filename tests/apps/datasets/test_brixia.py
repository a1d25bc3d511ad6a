# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from monai_semise.apps.datasets import Brixia
from monai_semise.data.collection import ProblemKind
from monai_semise.utils import InputError
from tests.apps.datasets.files import (
    SECRETS,
    by_name,
    problems_of,
    records_by_name,
    run_datalist,
    write_dicom,
    write_text,
)

HEADER = "Filename;StudyDate;Subject;StudyId;BrixiaScore;BrixiaScoreGlobal;ConsensusTestset;Sex"
LINES = (
    "1.dcm;18000;pat-a;u1;000000;0;0;M",
    "2.dcm;18001;pat-a;u2;000112;4;0;M",
    "3.dcm;18001;pat-b;u3;010000;1;0;F",
    "4.dcm;18002;pat-c;u4;333333;18;1;F",
    "5.dcm;18002;pat-d;u5;000000;0;1;F",
    "6.dcm;18002;pat-e;u6;000000;0;0;F",
)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "data"
    write_text(root / "metadata_global_v2.csv", HEADER, *LINES, encoding="utf-8-sig")
    for n, syntax in enumerate((ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless) * 2, start=1):
        photometric = "MONOCHROME1" if n == 5 else "MONOCHROME2"
        patient = SECRETS["PatientID"] if n < 3 else f"{SECRETS['PatientID']}-{n}"
        write_dicom(root / "dicom_clean" / f"{n}.dcm", syntax, PhotometricInterpretation=photometric, PatientID=patient)
    return root


def change(root, old, new):
    path = root / "metadata_global_v2.csv"
    text = path.read_text(encoding="utf-8-sig")
    assert old in text
    write_text(path, text.replace(old, new).strip(), encoding="utf-8-sig")


def test_scores_split_and_patients(root, tmp_path):
    collection = Brixia().read(root, tmp_path / "work")
    assert list(collection.grades) == [str(score) for score in range(19)]
    found = {name: (r.severity, r.group, r.split) for name, r in records_by_name(collection).items()}
    assert found == {
        "1.dcm": (0, "pat-a", "training"),
        "2.dcm": (4, "pat-a", "training"),
        "3.dcm": (1, "pat-b", "training"),
        "4.dcm": (18, "pat-c", "test"),
        "5.dcm": (0, "pat-d", "test"),
        "6.dcm": (0, "pat-e", "training"),
    }
    assert collection.private_groups
    assert not collection.problems
    assert not collection.notes


def test_table_and_images_apart(root, tmp_path):
    (root / "a" / "b").mkdir(parents=True)
    (root / "dicom_clean").rename(root / "a" / "dicom_clean")
    (root / "metadata_global_v2.csv").rename(root / "a" / "b" / "metadata_global_v2.csv")
    assert len(Brixia().read(root, tmp_path / "work").records) == 6


def test_scores_that_are_none(root, tmp_path):
    change(root, "000112;4", "000112;5")
    change(root, "010000;1;", "010000;19;")
    change(root, "000000;0;1", "000000;few;1")
    change(root, "u1;000000;0", "u1;00000-;0")
    (root / "dicom_clean" / "4.dcm").unlink()
    write_dicom(root / "dicom_clean" / "7.dcm")
    collection = Brixia().read(root, tmp_path / "work")
    assert problems_of(collection) == {
        "1.dcm": ProblemKind.GRADE,
        "2.dcm": ProblemKind.GRADE,
        "3.dcm": ProblemKind.GRADE,
        "4.dcm": ProblemKind.MISSING,
        "5.dcm": ProblemKind.GRADE,
    }
    details = {problem.image.stem: problem.detail for problem in collection.problems}
    assert details["2"] == "BrixiaScoreGlobal is 5, which is not the sum of the zones '000112'"
    assert details["3"] == "BrixiaScoreGlobal is '19', not 0 to 18"
    assert details["5"] == "BrixiaScoreGlobal is 'few', not 0 to 18"
    assert details["4"] == "named in line 5 of metadata_global_v2.csv"
    assert list(records_by_name(collection)) == ["6.dcm"]
    assert collection.notes == ["1 image file(s) that no table names are left out"]


def test_without_the_column_of_patients_the_headers_tell_them(root, tmp_path):
    change(root, "Subject", "Topic")
    collection = Brixia().read(root, tmp_path / "work")
    records = records_by_name(collection)
    assert records["1.dcm"].group == records["2.dcm"].group == SECRETS["PatientID"]
    assert len({record.group for record in collection.records}) == 5
    assert collection.private_groups


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("000112;4;0", "000112;4;2", r"line 3: ConsensusTestset is '2', not 0 or 1"),
        ("ConsensusTestset", "Consensus", r"no column 'ConsensusTestset'"),
        (";", ",", r"no column 'Filename'"),
    ],
)
def test_a_table_of_another_form(root, tmp_path, old, new, message):
    change(root, old, new)
    with pytest.raises(InputError, match=message):
        Brixia().read(root, tmp_path / "work")


def test_a_root_without_the_images(root, tmp_path):
    (root / "dicom_clean").rename(root / "dicom")
    with pytest.raises(InputError, match=r"no 'dicom_clean' in it; --root must hold metadata_global_v2.csv and"):
        Brixia().read(root, tmp_path / "work")


@pytest.mark.parametrize("has_column", [True, False])
def test_command_line_writes_no_patient(root, tmp_path, capsys, has_column):
    if not has_column:
        change(root, "Subject", "Topic")
    datalist = run_datalist("brixia", root, tmp_path / "out" / "out.json", "--validation", "0.2")
    items = by_name(datalist)
    assert {name: item["severity"] for name, (_, item) in items.items()} == {
        **{"1.dcm": 0, "2.dcm": 4, "3.dcm": 1},
        **{"4.dcm": 18, "5.dcm": 0, "6.dcm": 0},
    }
    assert {name for name, (section, _) in items.items() if section == "test"} == {"4.dcm", "5.dcm"}
    assert items["1.dcm"][1]["group"] == items["2.dcm"][1]["group"]
    assert items["1.dcm"][0] == items["2.dcm"][0]
    assert datalist["validation"]
    output = capsys.readouterr()
    written = (tmp_path / "out" / "out.json").read_text()
    for secret in ("pat-", *SECRETS.values()):
        assert secret not in output.out + output.err + written
