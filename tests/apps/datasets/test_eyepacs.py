# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from monai_semise.apps.datasets import Eyepacs
from monai_semise.data.collection import ProblemKind
from monai_semise.utils import InputError
from tests.apps.datasets.files import by_name, problems_of, records_by_name, run_datalist, write_image, write_text

SIDES = ("left", "right")
TRAIN = {f"{patient}_{side}": patient % 5 for patient in range(10, 30) for side in SIDES}
TEST = {f"{patient}_{side}": patient % 5 for patient in range(1, 6) for side in SIDES}


def write_rows(path, header, grades, suffix=""):
    write_text(path, header, *(f"{name},{grade}{suffix}" for name, grade in grades.items()))


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "eyepacs"
    write_rows(root / "trainLabels.csv", "image,level", TRAIN)
    for name in TRAIN:
        write_image(root / "train" / f"{name}.jpeg")
    return root


def add_test_set(root):
    write_rows(root / "retinopathy_solution.csv", "image,level,Usage", TEST, ",Private")
    for name in TEST:
        write_image(root / "test" / f"{name}.jpeg")


def read(root):
    return Eyepacs().read(root, root / "work")


def test_training_set_alone_has_no_published_split(root):
    collection = read(root)
    assert {record.image.stem: record.severity for record in collection.records} == TRAIN
    assert {record.split for record in collection.records} == {None}
    assert collection.notes == []


def test_both_eyes_are_one_group(root):
    records = records_by_name(read(root))
    assert records["10_left.jpeg"].group == records["10_right.jpeg"].group == "10"
    assert len({record.group for record in records.values()}) == 20


def test_published_test_set(root):
    add_test_set(root)
    records = records_by_name(read(root))
    assert {name: record.severity for name, record in records.items() if record.split == "test"} == {
        f"{name}.jpeg": grade for name, grade in TEST.items()
    }
    assert sum(record.split == "training" for record in records.values()) == len(TRAIN)


def test_test_set_without_grades_is_ungraded(root):
    add_test_set(root)
    (root / "retinopathy_solution.csv").unlink()
    collection = read(root)
    record = records_by_name(collection)["1_left.jpeg"]
    assert (record.severity, record.split, record.group) == (None, None, "1")
    assert {record.split for record in collection.records} == {None}
    assert any("test are ungraded" in note for note in collection.notes)


def test_grades_of_a_test_set_that_is_not_there(root):
    write_rows(root / "retinopathy_solution.csv", "image,level,Usage", TEST, ",Public")
    collection = read(root)
    assert len(collection.records) == len(TRAIN)
    assert collection.problems == []
    assert any("no folder test" in note for note in collection.notes)


def test_missing_image(root):
    (root / "train" / "10_left.jpeg").unlink()
    assert problems_of(read(root)) == {"10_left": ProblemKind.MISSING}


def test_wrong_layout(root):
    (root / "trainLabels.csv").rename(root / "labels.csv")
    with pytest.raises(InputError, match=r"no 'trainLabels\.csv' in it; --root must hold"):
        read(root)


def test_command_line(root, tmp_path):
    add_test_set(root)
    datalist = run_datalist("eyepacs", root, tmp_path / "eyepacs.json")
    items = by_name(datalist)
    assert {name for name, (section, _) in items.items() if section == "test"} == {f"{name}.jpeg" for name in TEST}
    for patient in range(10, 30):
        assert items[f"{patient}_left.jpeg"][0] == items[f"{patient}_right.jpeg"][0]
    assert len(datalist["validation"]) > 0
