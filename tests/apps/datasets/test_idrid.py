# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from monai_semise.apps.datasets import Idrid
from monai_semise.data.collection import ProblemKind
from monai_semise.utils import InputError
from tests.apps.datasets.files import by_name, problems_of, run_datalist, write_image, write_mask, write_text

TRAINING = (
    "Image name,Retinopathy grade,Risk of macular edema ,,,,,,,,,",
    "IDRiD_001,3,2,,,,,,,,,",
    "IDRiD_002,0,0,,,,,,,,,",
    "IDRiD_003,4,1,,,,,,,,,",
    "IDRiD_004,1,0,,,,,,,,,",
)
TESTING = ("Image name,Retinopathy grade,Risk of macular edema ", "IDRiD_001,2,0", "IDRiD_002,0,0")
FOLDERS = {
    "MA": "1. Microaneurysms",
    "HE": "2. Haemorrhages",
    "EX": "3. Hard Exudates",
    "SE": "4. Soft Exudates",
    "OD": "5. Optic Disc",
}


def write_grading(base):
    write_text(base / "2. Groundtruths" / "a. IDRiD_Disease Grading_Training Labels.csv", *TRAINING)
    write_text(base / "2. Groundtruths" / "b. IDRiD_Disease Grading_Testing Labels.csv", *TESTING)
    for folder, lines in (("a. Training Set", TRAINING), ("b. Testing Set", TESTING)):
        for line in lines[1:]:
            write_image(base / "1. Original Images" / folder / f"{line.split(',')[0]}.jpg")


def write_segmentation(base):
    for folder, numbers in (("a. Training Set", (1, 2)), ("b. Testing Set", (55,))):
        for number in numbers:
            write_image(base / "1. Original Images" / folder / f"IDRiD_{number:02d}.jpg")
            for structure, name in FOLDERS.items():
                path = base / "2. All Segmentation Groundtruths" / folder / name / f"IDRiD_{number:02d}_{structure}.tif"
                write_mask(path)
                if (number, structure) in {(2, "SE"), (2, "HE"), (55, "SE")}:
                    path.unlink()


@pytest.fixture
def root(tmp_path):
    """Both parts, the grading part nested in a folder of its own name, and the third part, with a table of its own."""
    root = tmp_path / "data"
    write_grading(root / "B. Disease Grading" / "B. Disease Grading")
    write_segmentation(root / "A. Segmentation")
    write_text(root / "C. Localization" / "2. Groundtruths" / "centers.csv", "Image No,X- Coordinate", "IDRiD_001,2")
    return root


def found(collection):
    return [
        (record.image.parent.name[0] + record.image.stem[-3:], record.severity, record.group, record.split)
        for record in collection.records
    ]


def test_grades(root, tmp_path):
    collection = Idrid().read(root, tmp_path / "work")
    assert found(collection) == [
        ("a001", 3, "train-IDRiD_001", "training"),
        ("a002", 0, "train-IDRiD_002", "training"),
        ("a003", 4, "train-IDRiD_003", "training"),
        ("a004", 1, "train-IDRiD_004", "training"),
        ("b001", 2, "test-IDRiD_001", "test"),
        ("b002", 0, "test-IDRiD_002", "test"),
    ]
    assert len(collection.grades) == 5
    assert all(record.masks is None for record in collection.records)
    assert not collection.problems
    assert len(collection.notes) == 1


def test_edema(root, tmp_path):
    collection = Idrid(target="edema").read(root, tmp_path / "work")
    assert [record.severity for record in collection.records] == [2, 0, 1, 0, 0, 0]
    assert len(collection.grades) == 3


@pytest.mark.parametrize("inside", [".", "B. Disease Grading"])
def test_the_part_itself_as_root(tmp_path, inside):
    write_grading(tmp_path / "data" / inside)
    assert len(Idrid().read(tmp_path / "data", tmp_path / "work").records) == 6


def test_problems_of_single_images(root, tmp_path):
    base = root / "B. Disease Grading" / "B. Disease Grading"
    table = base / "2. Groundtruths" / "a. IDRiD_Disease Grading_Training Labels.csv"
    table.write_text(table.read_text().replace("IDRiD_003,4", "IDRiD_003,5"))
    (base / "1. Original Images" / "a. Training Set" / "IDRiD_004.jpg").unlink()
    write_image(base / "1. Original Images" / "b. Testing Set" / "IDRiD_104.jpg")
    collection = Idrid().read(root, tmp_path / "work")
    assert len(collection.records) == 4
    assert {problem.kind for problem in collection.problems} == {ProblemKind.GRADE, ProblemKind.MISSING}
    assert "1 image file(s) that no table names are left out" in collection.notes


def test_masks(root, tmp_path):
    collection = Idrid(task="segmentation").read(root, tmp_path / "work")
    assert tuple(collection.structures) == ("MA", "HE", "EX", "SE", "OD")
    assert tuple(collection.grades) == ()
    assert found(collection) == [
        ("a_01", None, "train-IDRiD_01", "training"),
        ("a_02", None, "train-IDRiD_02", "training"),
        ("b_55", None, "test-IDRiD_55", "test"),
    ]
    present = [[s for s, mask in record.masks.items() if mask is not None] for record in collection.records]
    assert present == [["MA", "HE", "EX", "SE", "OD"], ["MA", "EX", "OD"], ["MA", "HE", "EX", "OD"]]
    for record in collection.records:
        for structure, mask in record.masks.items():
            if mask is not None:
                assert mask.name == f"{record.image.stem}_{structure}.tif"
                assert mask.parent.name == FOLDERS[structure]
    assert not collection.problems


@pytest.mark.parametrize("mode", ["1", "P", "RGB", "RGBA"])
def test_masks_of_other_kinds_are_made_plain(root, tmp_path, mode):
    masks = root / "A. Segmentation" / "2. All Segmentation Groundtruths"
    path = masks / "a. Training Set" / "1. Microaneurysms" / "IDRiD_01_MA.tif"
    marked = np.asarray(Image.open(path))
    if mode == "P":
        mask = Image.fromarray(marked // 255).convert("P")
        mask.putpalette([0, 0, 0, 255, 0, 0])
    elif mode == "1":
        mask = Image.fromarray(marked).convert("1")
    else:
        mask = Image.fromarray(np.stack([marked, 0 * marked, 0 * marked], axis=-1)).convert(mode)  # opaque
    mask.save(path)
    work = tmp_path / "work"
    first, second, _ = Idrid(task="segmentation").read(root, work).records
    assert first.masks["MA"] == work / "masks" / "IDRiD_01_MA.png"
    assert np.array_equal(np.asarray(Image.open(first.masks["MA"])), marked)
    assert second.masks["MA"].suffix == ".tif"
    assert [file.name for file in (work / "masks").iterdir()] == ["IDRiD_01_MA.png"]


def test_a_damaged_mask_is_reported(root, tmp_path, capsys):
    masks = root / "A. Segmentation" / "2. All Segmentation Groundtruths"
    (masks / "a. Training Set" / "3. Hard Exudates" / "IDRiD_01_EX.tif").write_bytes(b"no image")
    datalist = run_datalist("idrid", root, tmp_path / "out.json", "--task", "segmentation", "--validation", "0")
    assert sorted(by_name(datalist)) == ["IDRiD_02.jpg", "IDRiD_55.jpg"]
    assert "unreadable file: 1 image(s) left out" in capsys.readouterr().err


def test_a_lost_mask_of_the_optic_disc(root, tmp_path):
    masks = root / "A. Segmentation" / "2. All Segmentation Groundtruths"
    (masks / "a. Training Set" / "5. Optic Disc" / "IDRiD_01_OD.tif").unlink()
    collection = Idrid(task="segmentation").read(root, tmp_path / "work")
    assert problems_of(collection) == {"IDRiD_01.jpg": ProblemKind.MISSING}
    assert len(collection.records) == 2


def test_a_lost_folder_of_masks_is_no_absent_lesion(root, tmp_path):
    masks = root / "A. Segmentation" / "2. All Segmentation Groundtruths"
    (masks / "b. Testing Set" / "4. Soft Exudates").rmdir()
    with pytest.raises(InputError, match=r"4\. Soft Exudates: no such folder; --root must hold A\. Segmentation"):
        Idrid(task="segmentation").read(root, tmp_path / "work")


@pytest.mark.parametrize(("task", "part"), [("grading", "B. Disease Grading"), ("segmentation", "A. Segmentation")])
def test_a_part_that_is_not_there(root, tmp_path, task, part):
    (root / part).rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=rf"--root must hold {part}.*found"):
        Idrid(task=task).read(root, tmp_path / "work")


def test_unknown_options():
    with pytest.raises(ValueError, match="grade"):
        Idrid(task="grade")
    with pytest.raises(ValueError, match="oedema"):
        Idrid(target="oedema")


def test_command_line(root, tmp_path):
    datalist = run_datalist("idrid", root, tmp_path / "out.json", "--validation", "0.2")
    assert {name: len(datalist[name]) for name in ("test", "unlabelled")} == {"test": 2, "unlabelled": 0}
    assert len(datalist["training"]) + len(datalist["validation"]) == 4
    assert datalist["validation"]
    groups = {item["group"] for name in ("training", "validation", "test") for item in datalist[name]}
    assert len(groups) == 6


def test_command_line_segmentation(root, tmp_path):
    options = ("--task", "segmentation", "--validation", "0")
    datalist = run_datalist("idrid", root, tmp_path / "out.json", *options)
    items = by_name(datalist)
    assert {name: section for name, (section, _) in items.items()} == {
        "IDRiD_01.jpg": "training",
        "IDRiD_02.jpg": "training",
        "IDRiD_55.jpg": "test",
    }
    masks = items["IDRiD_02.jpg"][1]["mask"]
    assert [mask is not None for mask in masks] == [True, False, True, False, True]
    assert "severity" not in items["IDRiD_02.jpg"][1]
    assert datalist["structures"] == ["MA", "HE", "EX", "SE", "OD"]
