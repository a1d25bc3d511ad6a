# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from monai_semise.apps.datasets import Aptos
from monai_semise.data.collection import ProblemKind
from monai_semise.utils import InputError
from tests.apps.datasets.files import by_name, problems_of, records_by_name, run_datalist, write_image, write_text

GRADES = {f"{n:012x}": n % 5 for n in range(40)}


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "aptos2019-blindness-detection"
    write_text(root / "train.csv", "id_code,diagnosis", *(f"{name},{grade}" for name, grade in GRADES.items()))
    for name in GRADES:
        write_image(root / "train_images" / f"{name}.png")
    return root


def read(root):
    return Aptos().read(root, root / "work")


def test_grades_of_the_table(root):
    collection = read(root)
    assert {record.image.stem: record.severity for record in collection.records} == GRADES
    assert collection.grades[0] == "no DR"
    assert len(collection.grades) == 5
    assert {(record.group, record.split) for record in collection.records} == {(None, None)}
    assert collection.problems == []
    assert any("no patient ids" in note for note in collection.notes)


def test_test_images_are_ungraded(root):
    write_text(root / "test.csv", "id_code", "unknown")
    write_image(root / "test_images" / "unknown.png")
    record = records_by_name(read(root))["unknown.png"]
    assert (record.severity, record.split) == (None, None)


def test_bad_rows(root):
    with open(root / "train.csv", "a") as table:
        table.write("nowhere,2\n")
    text = (root / "train.csv").read_text()
    first, second, *_ = GRADES
    (root / "train.csv").write_text(text.replace(f"{first},0", f"{first},5").replace(f"{second},1", f"{second},-1"))
    write_image(root / "train_images" / "extra.png")
    collection = read(root)
    assert problems_of(collection) == {
        "nowhere": ProblemKind.MISSING,
        f"{first}.png": ProblemKind.GRADE,
        f"{second}.png": ProblemKind.GRADE,
    }
    assert len(collection.records) == 38
    assert "line 2" in collection.problems[0].detail
    assert "'5'" in collection.problems[0].detail
    assert "1 image file(s) that no table names are left out" in collection.notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "train.csv").unlink(), "no 'train.csv' in it; --root must hold train.csv and the folder"),
        (
            lambda root: (root / "train_images").rename(root / "images"),
            "train_images: no such folder; --root must hold",
        ),
        (lambda root: [file.unlink() for file in (root / "train_images").iterdir()], "train_images: holds no images"),
        (lambda root: write_text(root / "train.csv", "id_code,level", "a,1"), "no column 'diagnosis'; found 'id_code'"),
    ],
)
def test_wrong_layout(root, change, message):
    change(root)
    with pytest.raises(InputError, match=message):
        read(root)


def test_command_line(root, tmp_path, capsys):
    write_image(root / "test_images" / "unknown.png")
    datalist = run_datalist("aptos", root.parent, tmp_path / "aptos.json")  # as unpacked, in a folder of its name
    items = by_name(datalist)
    assert items.pop("unknown.png")[0] == "unlabelled"
    assert {name[:-4]: item["severity"] for name, (_, item) in items.items()} == GRADES
    assert [len(datalist[section]) for section in ("training", "validation", "test")] == [28, 6, 6]
    assert "no patient ids" in capsys.readouterr().out
