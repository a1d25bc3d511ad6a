# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections import Counter

import pytest

from monai_semise.apps.datasets import KneeOA
from monai_semise.utils import InputError
from tests.apps.datasets.files import by_name, records_by_name, run_datalist, write_image

IMAGES = {
    "train": {0: ("9000099L", "9000099R"), 1: ("9000296L",), 2: ("9000622R",), 3: ("9000798L",), 4: ("9001104R",)},
    "val": {0: ("9002116L",), 1: ("9002116R",), 2: (), 3: (), 4: ()},
    "test": {0: ("9003175L",), 1: (), 2: ("9003175R",), 3: (), 4: ()},
}


@pytest.fixture
def root(tmp_path):
    base = tmp_path / "data" / "kneeKL224"
    for split, grades in IMAGES.items():
        for grade, names in grades.items():
            (base / split / str(grade)).mkdir(parents=True)
            for name in names:
                write_image(base / split / str(grade) / f"{name}.png", channels=1)
    for name in ("0/9003175_1.png", "2/9003175_2.png"):
        write_image(base / "auto_test" / name, channels=1)
    return tmp_path / "data"


def test_folders_are_grades_and_splits(root, tmp_path):
    collection = KneeOA().read(root, tmp_path / "work")
    assert Counter((record.split, record.severity) for record in collection.records) == {
        **{("training", 0): 2, ("training", 1): 1, ("training", 2): 1, ("training", 3): 1, ("training", 4): 1},
        **{("validation", 0): 1, ("validation", 1): 1, ("test", 0): 1, ("test", 2): 1},
    }
    assert list(collection.grades) == ["none", "doubtful", "minimal", "moderate", "severe"]
    assert collection.notes == ["auto_test is left out: its 2 image(s) show knees of the test set again"]


def test_both_knees_are_one_patient(root, tmp_path):
    for name in ("copy of 9000099L", "90000991L", "9000099L_flipped"):
        write_image(root / "kneeKL224" / "train" / "0" / f"{name}.png")
    collection = KneeOA().read(root, tmp_path / "work")
    records = records_by_name(collection)
    assert records["9000099L.png"].group == records["9000099R.png"].group == "9000099"
    assert records["9000099L_flipped.png"].group == "9000099"
    assert records["copy of 9000099L.png"].group is records["90000991L.png"].group is None
    assert len({record.group for record in collection.records}) == 7 + 1
    assert any(note.startswith("2 file name(s) do not begin with a patient number") for note in collection.notes)


def test_without_auto_test_there_is_nothing_to_note(root, tmp_path):
    (root / "kneeKL224" / "auto_test").rename(tmp_path / "elsewhere")
    assert KneeOA().read(root / "kneeKL224", tmp_path / "work").notes == []


def test_a_missing_grade_folder(root, tmp_path):
    (root / "kneeKL224" / "val" / "3").rmdir()
    with pytest.raises(InputError, match="val/3: no such folder; --root must hold the folders train, val, test"):
        KneeOA().read(root, tmp_path / "work")


def test_command_line(root, tmp_path):
    datalist = run_datalist("knee-oa", root, tmp_path / "out.json")
    sizes = {section: len(datalist[section]) for section in ("training", "validation", "test", "unlabelled")}
    assert sizes == {"training": 6, "validation": 2, "test": 2, "unlabelled": 0}
    assert by_name(datalist)["9003175R.png"][1]["severity"] == 2


def test_command_line_reports_a_patient_in_two_splits(root, tmp_path, capsys):
    write_image(root / "kneeKL224" / "train" / "4" / "9003175R.png", channels=1)
    datalist = run_datalist("knee-oa", root, tmp_path / "out.json")
    assert len(datalist["training"]) == 6
    assert "patient in two splits: 1 image(s) left out" in capsys.readouterr().err
