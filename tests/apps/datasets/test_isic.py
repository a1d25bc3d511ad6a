# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.__main__ import main
from monai_semise.apps.datasets import Isic2016, Isic2017, Isic2018
from monai_semise.data.collection import ProblemKind
from monai_semise.utils import InputError
from tests.apps.datasets.files import (
    by_name,
    problems_of,
    records_by_name,
    run_datalist,
    write_image,
    write_mask,
    write_text,
)

CODES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")  # as the tables have them
ONE_HOT = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"


def isic(number):
    return f"ISIC_{number:07d}"


def one_hot(number, code):
    return ",".join([isic(number), *("1.0" if code == column else "0.0" for column in CODES)])


def found(collection):
    """Severity, split and whether there is a mask, by number."""
    return {
        int(record.image.stem[5:]): (record.severity, record.split, record.masks is not None)
        for record in collection.records
    }


def severities(collection):
    return {number: severity for number, (severity, _, _) in found(collection).items()}


def clutter(folder):
    """What lies beside the images of every challenge."""
    write_text(folder / "ATTRIBUTION.txt", "by")
    write_text(folder / "LICENSE.txt", "CC")
    for ending in ("_superpixels.png", "_superpixels.npz"):
        write_image(folder / f"{isic(1)}.png").rename(folder / f"{isic(1)}{ending}")


# ---------------------------------------------------------------- 2016


@pytest.fixture
def root_2016(tmp_path):
    root = tmp_path / "2016"
    for part in ("Part1", "Part3"):
        for split, numbers in (("Training", (1, 2, 3, 4)), ("Test", (11, 12))):
            for number in numbers:
                write_image(root / f"ISBI2016_ISIC_{part}_{split}_Data" / f"{isic(number)}.jpg")
                if part == "Part1" and number != 4:
                    folder = root / f"ISBI2016_ISIC_Part1_{split}_GroundTruth"
                    write_mask(folder / f"{isic(number)}_Segmentation.png")
    clutter(root / "ISBI2016_ISIC_Part1_Training_Data")
    training = [f"{isic(1)},benign", f"{isic(2)},malignant", f"{isic(3)},benign"]
    write_text(root / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv", *training)
    write_text(root / "ISBI2016_ISIC_Part3_Test_GroundTruth.csv", f"{isic(11)},0.0", f"{isic(12)},1.0")
    return root


EXPECTED_2016 = {
    1: (0, "training", True),
    2: (1, "training", True),
    3: (0, "training", True),
    4: (None, "training", False),
    11: (0, "test", True),
    12: (1, "test", True),
}


def test_2016(root_2016, tmp_path):
    collection = Isic2016().read(root_2016, tmp_path / "work")
    assert found(collection) == EXPECTED_2016
    assert list(collection.grades) == ["benign", "malignant"]
    assert tuple(collection.structures) == ("lesion",)
    assert not collection.problems
    mask = records_by_name(collection)[f"{isic(12)}.jpg"].masks["lesion"]
    assert mask.name == f"{isic(12)}_Segmentation.png"


def test_2016_any_part_will_do(root_2016, tmp_path):
    images = [record.image for record in Isic2016().read(root_2016, tmp_path / "work").records]
    assert {image.parent.name[14:19] for image in images} == {"Part1"}, "the first of several copies"
    for split in ("Training", "Test"):
        (root_2016 / f"ISBI2016_ISIC_Part1_{split}_Data").rename(tmp_path / split)
    assert found(Isic2016().read(root_2016, tmp_path / "work")) == EXPECTED_2016


def test_2016_part_3b_has_the_masks_beside_the_images(tmp_path):
    root = tmp_path / "data"
    for number in (1, 2):
        write_image(root / "ISBI2016_ISIC_Part3B_Training_Data" / f"{isic(number)}.jpg")
        write_mask(root / "ISBI2016_ISIC_Part3B_Training_Data" / f"{isic(number)}_Segmentation.png")
    write_text(root / "ISBI2016_ISIC_Part3B_Training_GroundTruth.csv", f"{isic(1)},benign", f"{isic(2)},malignant")
    collection = Isic2016().read(root, tmp_path / "work")
    assert found(collection) == {1: (0, "training", True), 2: (1, "training", True)}


def test_2016_masks_alone(root_2016, tmp_path):
    for path in root_2016.glob("*.csv"):
        path.unlink()
    assert set(found(Isic2016().read(root_2016, tmp_path / "work")).values()) == {
        (None, "training", True),
        (None, "training", False),
        (None, "test", True),
    }


def test_2016_problems(root_2016, tmp_path):
    table = root_2016 / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv"
    table.write_text(table.read_text().replace("2,malignant", "2,unclear") + f"{isic(9)},benign\n")
    collection = Isic2016().read(root_2016, tmp_path / "work")
    assert problems_of(collection) == {f"{isic(2)}.jpg": ProblemKind.GRADE, f"{isic(9)}.jpg": ProblemKind.MISSING}
    assert found(collection) == {number: row for number, row in EXPECTED_2016.items() if number != 2}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("image,label\nISIC_0000001,benign", 1),
        ("ISIC_0000001,benign,x\n\nISIC_0000002,x,y", 1),
        ("ISIC_1,benign\n\nx,y", 3),
    ],
)
def test_2016_a_table_of_another_form(root_2016, tmp_path, content, line):
    write_text(root_2016 / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv", content)
    with pytest.raises(InputError, match=rf"Training_GroundTruth.csv, line {line}: "):
        Isic2016().read(root_2016, tmp_path / "work")


LINES_2016 = ("ISIC_0000001,benign", "ISIC_0000002,1.0", "ISIC_0000003,", "ISIC_0000009,x", ",benign", "a,b,c", "", '"')


@given(st.lists(st.sampled_from(LINES_2016), max_size=5))
def test_2016_any_table_is_read_or_refused(root_2016, tmp_path, lines):
    table = write_text(root_2016 / "ISBI2016_ISIC_Part3_Training_GroundTruth.csv", *lines)
    try:
        collection = Isic2016().read(root_2016, tmp_path / "work")
    except InputError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert str(table) in refusal
        return
    expected = {1: None, 2: None, 3: None, 4: None}
    if "ISIC_0000001,benign" in lines:
        expected[1] = 0
    if "ISIC_0000002,1.0" in lines:
        expected[2] = 1
    if "ISIC_0000003," in lines:
        del expected[3]
    assert {n: severity for n, severity in severities(collection).items() if n < 5} == expected
    assert (f"{isic(9)}.jpg" in problems_of(collection)) == ("ISIC_0000009,x" in lines)


def test_2016_command_line(root_2016, tmp_path):
    datalist = run_datalist("isic-2016", root_2016, tmp_path / "out.json", "--validation", "0.15")
    items = by_name(datalist)
    assert {name: len(datalist[name]) for name in ("test", "unlabelled")} == {"test": 2, "unlabelled": 1}
    assert len(datalist["training"]) + len(datalist["validation"]) == 3
    assert items[f"{isic(2)}.jpg"][1]["severity"] == 1
    assert items[f"{isic(2)}.jpg"][1]["mask"].endswith(f"{isic(2)}_Segmentation.png")
    assert items[f"{isic(4)}.jpg"][0] == "unlabelled"


# ---------------------------------------------------------------- 2017


@pytest.fixture
def root_2017(tmp_path):
    root = tmp_path / "2017"
    rows = {
        "Training": {1: "0.0,0.0", 2: "1.0,0.0", 3: "0.0,1.0"},
        "Validation": {11: "0.0,0.0"},
        "Test_v2": {21: "1.0,0.0"},
    }
    for split, labels in rows.items():
        images = root / f"ISIC-2017_{split}_Data" / f"ISIC-2017_{split}_Data"
        masks = root / f"ISIC-2017_{split}_Part1_GroundTruth"
        lines = [f"{isic(number)},{label}" for number, label in labels.items()]
        header = "image_id,melanoma,seborrheic_keratosis"
        write_text(root / f"ISIC-2017_{split}_Part3_GroundTruth.csv", header, *lines)
        for number in labels:
            write_image(images / f"{isic(number)}.jpg")
            write_mask(masks / f"{isic(number)}_segmentation.png")
        clutter(images)
    return root


EXPECTED_2017 = {
    1: (0, "training", True),
    2: (2, "training", True),
    3: (1, "training", True),
    11: (0, "validation", True),
    21: (2, "test", True),
}


def test_2017(root_2017, tmp_path):
    collection = Isic2017().read(root_2017, tmp_path / "work")
    assert found(collection) == EXPECTED_2017
    assert list(collection.grades) == ["NV", "SK", "MEL"]
    assert not collection.problems
    assert any("NV < SK < MEL is inferred" in note for note in collection.notes)


@pytest.mark.parametrize("label", ["1.0,1.0", "0.3,0.0", ",0.0"])
def test_2017_a_row_that_marks_no_diagnosis(root_2017, tmp_path, label):
    table = root_2017 / "ISIC-2017_Training_Part3_GroundTruth.csv"
    table.write_text(table.read_text().replace("1.0,0.0", label))
    collection = Isic2017().read(root_2017, tmp_path / "work")
    assert problems_of(collection) == {f"{isic(2)}.jpg": ProblemKind.GRADE}
    assert found(collection) == {number: row for number, row in EXPECTED_2017.items() if number != 2}


def test_2017_command_line(root_2017, tmp_path):
    datalist = run_datalist("isic-2017", root_2017, tmp_path / "out.json")
    assert {name: len(datalist[name]) for name in ("training", "validation", "test", "unlabelled")} == {
        **{"training": 3, "validation": 1, "test": 1, "unlabelled": 0},
    }


# ---------------------------------------------------------------- 2018


LABELS = {31: "NV", 32: "NV", 33: "DF", 34: "BKL", 35: "VASC", 36: "AKIEC", 37: "BCC", 38: "MEL"}
LESIONS = ("image,lesion_id,diagnosis_confirm_type", "ISIC_0000031,HAM_0000001,histopathology")
METADATA = (
    "lesion_id,image_id,dx,dx_type,age,sex,localization",
    "HAM_0000001,ISIC_0000031,nv,histo,45.0,male,back",
    "HAM_0000001,ISIC_0000032,nv,histo,45.0,male,back",
    "HAM_0000002,ISIC_0000038,mel,histo,,female,face",
)


@pytest.fixture
def root_2018(tmp_path):
    root = tmp_path / "2018"
    splits = {"Training": LABELS, "Validation": {41: "MEL"}, "Test": {51: "BCC", 52: "NV"}}
    for split, labels in splits.items():
        folder = root / f"ISIC2018_Task3_{split}_GroundTruth"
        lines = [one_hot(number, code) for number, code in labels.items()]
        write_text(folder / f"ISIC2018_Task3_{split}_GroundTruth.csv", ONE_HOT, *lines)
        write_text(folder / "LICENSE.txt", "CC")
        for number in labels:
            write_image(root / f"ISIC2018_Task3_{split}_Input" / f"{isic(number)}.jpg")
        clutter(root / f"ISIC2018_Task3_{split}_Input")
    write_text(
        root / "ISIC2018_Task3_Training_LesionGroupings.csv",
        *LESIONS,
        "ISIC_0000032,HAM_0000001,histopathology",
        "ISIC_0000033,HAM_0000003,single image expert consensus",
    )
    for split, numbers in (("Training", (1, 2, 31)), ("Validation", (3,)), ("Test", (4,))):
        for number in numbers:
            write_image(root / f"ISIC2018_Task1-2_{split}_Input" / f"{isic(number)}.jpg")
            write_mask(root / f"ISIC2018_Task1_{split}_GroundTruth" / f"{isic(number)}_segmentation.png")
            write_mask(root / f"ISIC2018_Task2_{split}_GroundTruth" / f"{isic(number)}_attribute_globules.png")
    return root


def test_2018_grades(root_2018, tmp_path):
    collection = Isic2018().read(root_2018, tmp_path / "work")
    expected = {31: 0, 32: 0, 33: 1, 34: 2, 35: 3, 36: 4, 37: 5, 38: 6, 41: 6, 51: 5, 52: 0}
    assert severities(collection) == expected
    assert list(collection.grades) == ["NV", "DF", "BKL", "VASC", "AKIEC", "BCC", "MEL"]
    splits = {number: split for number, (_, split, _) in found(collection).items()}
    assert splits == {**dict.fromkeys(LABELS, "training"), 41: "validation", 51: "test", 52: "test"}
    assert not collection.problems
    assert any("is inferred" in note and "--order" in note for note in collection.notes)


def test_2018_groups_are_lesions(root_2018, tmp_path):
    groups = {r.image.stem: r.group for r in Isic2018().read(root_2018, tmp_path / "work").records}
    assert groups[isic(31)] == groups[isic(32)] == "HAM_0000001"
    assert groups[isic(33)] == "HAM_0000003"
    assert groups[isic(34)] is groups[isic(41)] is None


def test_2018_groups_of_the_ham10000_table(root_2018, tmp_path):
    (root_2018 / "ISIC2018_Task3_Training_LesionGroupings.csv").unlink()
    collection = Isic2018().read(root_2018, tmp_path / "work")
    assert any(note.startswith("no lesion ids") for note in collection.notes)
    write_text(root_2018 / "HAM10000_metadata.csv", *METADATA)
    collection = Isic2018().read(root_2018, tmp_path / "work")
    groups = {record.image.stem: record.group for record in collection.records}
    assert groups[isic(31)] == groups[isic(32)] == "HAM_0000001"
    assert groups[isic(38)] == "HAM_0000002"
    assert not any(note.startswith("no lesion ids") for note in collection.notes)


def test_2018_a_table_of_the_same_name_in_the_form_of_ham10000(root_2018, tmp_path):
    write_text(
        root_2018 / "ISIC2018_Task3_Test_GroundTruth" / "ISIC2018_Task3_Test_GroundTruth.csv",
        "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset",
        "HAMTEST_0000001,ISIC_0000051,bkl,histo,45.0,male,back,vidir",
        "HAMTEST_0000001,ISIC_0000052,vasc,histo,45.0,male,back,vidir",
    )
    (root_2018 / "ISIC2018_Task3_Test_Input").rename(root_2018 / "ISIC2018_Task3_Test_Images")
    collection = Isic2018().read(root_2018, tmp_path / "work")
    assert (severities(collection)[51], severities(collection)[52]) == (2, 3)
    groups = {record.image.stem: record.group for record in collection.records}
    assert groups[isic(51)] == groups[isic(52)] == "HAMTEST_0000001"


def test_2018_another_order(root_2018, tmp_path):
    order = ("mel", "BCC", "AKIEC", "VASC", "BKL", "DF", "NV")
    collection = Isic2018(order=order).read(root_2018, tmp_path / "work")
    assert {code: severities(collection)[number] for number, code in LABELS.items()} == {
        code.upper(): severity for severity, code in enumerate(order)
    }
    assert collection.grades == ("MEL", "BCC", "AKIEC", "VASC", "BKL", "DF", "NV")
    assert not any("inferred" in note for note in collection.notes)


@pytest.mark.parametrize("order", [("NV", "MEL"), ("NV", "NV", "DF", "BKL", "VASC", "AKIEC", "BCC"), (*CODES, "SCC")])
def test_2018_an_order_that_is_no_permutation(order):
    with pytest.raises(InputError, match=r"order: .* does not name each of NV, DF, BKL, VASC, AKIEC, BCC, MEL once"):
        Isic2018(order=order)


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ("0.0,0.0,0.0,0.0,0.0,0.0,0.0", "diagnosis is none"),
        ("1.0,1.0,0.0,0.0,0.0,0.0,0.0", "diagnosis is NV and MEL"),
        ("0.9,0.1,0.0,0.0,0.0,0.0,0.0", "diagnosis is NV '0.1' and MEL '0.9'"),
    ],
)
def test_2018_a_row_that_marks_no_diagnosis(root_2018, tmp_path, row, detail):
    path = root_2018 / "ISIC2018_Task3_Training_GroundTruth" / "ISIC2018_Task3_Training_GroundTruth.csv"
    path.write_text(path.read_text().replace(one_hot(38, "MEL"), f"{isic(38)},{row}"))
    collection = Isic2018().read(root_2018, tmp_path / "work")
    assert problems_of(collection) == {f"{isic(38)}.jpg": ProblemKind.GRADE}
    assert collection.problems[0].detail.startswith(detail)
    assert 38 not in found(collection)


def test_2018_images_without_a_row_are_ungraded_and_rows_without_an_image_are_missing(root_2018, tmp_path):
    write_image(root_2018 / "ISIC2018_Task3_Training_Input" / f"{isic(39)}.jpg")
    (root_2018 / "ISIC2018_Task3_Training_Input" / f"{isic(38)}.jpg").unlink()
    collection = Isic2018().read(root_2018, tmp_path / "work")
    assert found(collection)[39] == (None, "training", False)
    assert problems_of(collection) == {f"{isic(38)}.jpg": ProblemKind.MISSING}


def test_2018_segmentation(root_2018, tmp_path):
    collection = Isic2018(task="segmentation").read(root_2018, tmp_path / "work")
    assert found(collection) == {
        1: (None, "training", True),
        2: (None, "training", True),
        31: (0, "training", True),  # the one image that is in task 3, too
        3: (None, "validation", True),
        4: (None, "test", True),
    }
    assert collection.grades == Isic2018.grades
    records = records_by_name(collection)
    assert records[f"{isic(31)}.jpg"].group == "HAM_0000001"
    assert {name: record.masks["lesion"].name for name, record in records.items()} == {
        f"{isic(number)}.jpg": f"{isic(number)}_segmentation.png" for number in (1, 2, 3, 4, 31)
    }
    assert not collection.problems


def test_2018_segmentation_without_task_3_has_no_grades(root_2018, tmp_path):
    for path in root_2018.glob("ISIC2018_Task3*"):
        path.rename(tmp_path / path.name)
    collection = Isic2018(task="segmentation").read(root_2018, tmp_path / "work")
    assert collection.grades == ()
    assert len(collection.records) == 5
    assert not any("inferred" in note for note in collection.notes)


def test_2018_segmentation_needs_masks(root_2018, tmp_path):
    (root_2018 / "ISIC2018_Task1_Training_GroundTruth" / f"{isic(2)}_segmentation.png").unlink()
    (root_2018 / "ISIC2018_Task1_Test_GroundTruth").rename(tmp_path / "elsewhere")
    collection = Isic2018(task="segmentation").read(root_2018, tmp_path / "work")
    assert problems_of(collection) == {f"{isic(2)}.jpg": ProblemKind.MISSING}
    assert sorted(found(collection)) == [1, 3, 31]
    assert "1 test image(s) are left out: their masks are not there" in collection.notes
    for path in root_2018.glob("ISIC2018_Task1_*"):
        path.rename(tmp_path / path.name)
    with pytest.raises(InputError, match="no images with masks; --root must hold folders such as ISIC2018_Task1-2"):
        Isic2018(task="segmentation").read(root_2018, tmp_path / "work")


def test_2018_command_line(root_2018, tmp_path):
    datalist = run_datalist("isic-2018", root_2018, tmp_path / "out.json", "--order", "MEL,BCC,AKIEC,VASC,BKL,DF,nv")
    assert {name: len(datalist[name]) for name in ("training", "validation", "test", "unlabelled")} == {
        **{"training": 8, "validation": 1, "test": 2, "unlabelled": 0},
    }
    assert by_name(datalist)[f"{isic(51)}.jpg"][1]["severity"] == 1
    assert datalist["grades"][0] == "MEL"


def test_2018_command_line_segmentation(root_2018, tmp_path, capsys):
    datalist = run_datalist("isic-2018", root_2018, tmp_path / "out.json", "--task", "segmentation")
    assert {name: len(datalist[name]) for name in ("training", "validation", "test", "unlabelled")} == {
        **{"training": 3, "validation": 1, "test": 1, "unlabelled": 0},
    }
    assert datalist["structures"] == ["lesion"]
    items = by_name(datalist)
    assert items[f"{isic(1)}.jpg"][1]["mask"].endswith(f"{isic(1)}_segmentation.png")
    assert "severity" not in items[f"{isic(1)}.jpg"][1]


def test_2018_command_line_draws_lesions_whole(tmp_path):
    root = tmp_path / "data"
    lines, lesions = [], []
    for number in range(60):
        write_image(root / "ISIC2018_Task3_Training_Input" / f"{isic(number)}.jpg")
        lines.append(one_hot(number, "MEL" if number % 6 < 3 else "NV"))
        lesions.append(f"{isic(number)},HAM_{number // 3:07d},histo")
    write_text(root / "ISIC2018_Task3_Training_GroundTruth.csv", ONE_HOT, *lines)
    write_text(root / "ISIC2018_Task3_Training_LesionGroupings.csv", LESIONS[0], *lesions)
    datalist = run_datalist("isic-2018", root, tmp_path / "out.json")
    sections = {name: {item["group"] for item in datalist[name]} for name in ("training", "validation", "test")}
    assert {name: len(groups) for name, groups in sections.items()} == {"training": 14, "validation": 3, "test": 3}
    assert len(set.union(*sections.values())) == 20


@pytest.mark.parametrize("source", [Isic2016, Isic2017, Isic2018])
def test_a_root_that_holds_something_else(source, tmp_path):
    write_image(tmp_path / "data" / "pictures" / f"{isic(1)}.jpg")
    with pytest.raises(InputError, match=r"no images with a diagnosis or a mask; .* found pictures"):
        source().read(tmp_path / "data", tmp_path / "work")
    with pytest.raises(InputError, match="no such folder"):
        source().read(tmp_path / "data" / "pictures" / f"{isic(1)}.jpg", tmp_path / "work")


def test_command_line_names_a_wrong_order(root_2018, tmp_path, capsys):
    arguments = [
        "datalist",
        "isic-2018",
        "--root",
        str(root_2018),
        "--out",
        str(tmp_path / "o.json"),
        "--order",
        "NV,MEL",
    ]
    assert main(arguments) == 1
    assert capsys.readouterr().err.startswith("Error: order: NV, MEL does not name each of")
