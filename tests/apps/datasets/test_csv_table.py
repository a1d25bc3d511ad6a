# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.__main__ import main
from monai_semise.apps.datasets import CsvTable
from monai_semise.apps.datasets.tables import read_table, table_rows
from monai_semise.data import load_datalist
from monai_semise.data.collection import ProblemKind
from monai_semise.utils import InputError
from tests.apps.datasets.files import (
    SECRETS,
    by_name,
    problems_of,
    run_datalist,
    write_dicom,
    write_image,
    write_mask,
    write_text,
)

REAL = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture
def root(tmp_path):
    """A folder with the images a.png to f.png and masks of the same names."""
    root = tmp_path / "mine"
    for name in "abcdef":
        write_image(root / "images" / f"{name}.png")
        write_mask(root / "masks" / f"{name}.png")
    return root


def write_rows(root, *lines, name="index.csv"):
    return write_text(root / name, *lines)


def read(root, **options):
    return CsvTable(**options).read(root, root / "work")


def severities(collection):
    return {record.image.stem: record.severity for record in collection.records}


# ---------------------------------------------------------------- columns


@pytest.mark.parametrize("image", ["image", "filename", "file", "path", "image_path", "Image", "FILENAME"])
@pytest.mark.parametrize("grade", ["severity", "grade", "label", "level", "diagnosis", "Level"])
def test_usual_names(root, image, grade):
    write_rows(root, f"{grade},{image}", "0,images/a.png", "2,images/b.png", ",images/c.png")
    collection = read(root)
    assert severities(collection) == {"a": 0, "b": 2, "c": None}
    assert list(collection.grades) == ["0", "1", "2"]
    assert collection.name == root.name
    assert f"columns taken: image from {image!r}, grade from {grade!r}" in collection.notes


@pytest.mark.parametrize(
    "group",
    [
        *("group", "patient", "patient_id", "study", "study_id", "subject", "Patient_ID", "PatientID", "Patient ID"),
        *("subject_id", "participant-id", "MRN", "StudyInstanceUID"),
    ],
)
def test_group(root, group):
    write_rows(root, f"image,label,{group}", "images/a.png,0,7", "images/b.png,1,7", "images/c.png,1,")
    assert [record.group for record in read(root).records] == ["7", "7", None]


def test_patients_that_are_not_known_are_said(root):
    write_rows(root, "image,label", "images/a.png,0", "images/b.png,1")
    assert (
        "patients are not known: images of one may lie on both sides of the split; tell them with --group-column"
        in read(root).notes
    )
    write_rows(root, "image,label,patient", "images/a.png,0,1", "images/b.png,1,2")
    assert not any("not known" in note for note in read(root).notes)


@pytest.mark.parametrize("column", ["split", "set", "Split"])
def test_split(root, column):
    write_rows(
        root,
        f"image,label,{column}",
        *("images/a.png,0,train", "images/b.png,0,Training", "images/c.png,0,val"),
        *("images/d.png,0,valid", "images/e.png,0,TEST", "images/f.png,0,"),
    )
    expected = ["training", "training", "validation", "validation", "test", None]
    assert [record.split for record in read(root).records] == expected


def test_named_columns(root):
    write_rows(root, "image,label,x,y,p,s", "no,9,images/a.png,1,q,test", "no,9,images/b.png,0,q,train")
    collection = read(root, image_column="x", grade_column="y", group_column="p", split_column="s")
    assert severities(collection) == {"a": 1, "b": 0}
    assert [(record.group, record.split) for record in collection.records] == [("q", "test"), ("q", "training")]


@pytest.mark.parametrize("option", ["image_column", "grade_column", "group_column", "split_column"])
def test_a_named_column_that_is_not_there(root, option):
    write_rows(root, "image,label,laabel", "images/a.png,0,1")
    with pytest.raises(InputError, match=r"index\.csv: no column 'labell'; .*did you mean 'label'"):
        read(root, **{option: "labell"})


def test_no_usual_column(root):
    write_rows(root, "picture,label", "images/a.png,0")
    with pytest.raises(
        InputError, match=r"no column is called image or .*; found 'picture', 'label'; .*--image-column"
    ):
        read(root)
    write_rows(root, "image,stage", "images/a.png,0")
    with pytest.raises(InputError, match=r"no column is called severity or .*--grade-column"):
        read(root)


def test_unknown_split_word(root):
    write_rows(root, "image,label,set", "images/a.png,0,train", "images/b.png,0,fold 1")
    with pytest.raises(InputError, match=r"index\.csv, line 3: set is 'fold 1', not train, val or test"):
        read(root)


@pytest.mark.parametrize(
    ("separator", "text"), [(";", "image;label\nimages/a.png;1"), ("\t", "image\tlabel\nimages/a.png\t1")]
)
def test_separator(root, separator, text):
    write_rows(root, text)
    assert severities(read(root, separator=separator)) == {"a": 1}


# ---------------------------------------------------------------- files


def test_the_file_itself_and_one_of_several(root):
    path = write_rows(root, "image,label", "images/a.png,0")
    other = write_rows(root, "image,label", "images/b.png,0", name="other.txt")
    assert severities(read(root)) == {"a": 0}
    assert severities(CsvTable().read(other, root / "work")) == {"b": 0}
    other.rename(root / "other.CSV")
    with pytest.raises(
        InputError, match=r"expected one \.csv file, found index\.csv, other\.CSV; give the file itself"
    ):
        read(root)
    assert severities(CsvTable().read(path, root / "work")) == {"a": 0}


def test_absolute_paths(root, tmp_path):
    far = write_image(tmp_path / "far.png")
    write_rows(root, "image,label", f"{far},0")
    assert read(root).records[0].image == far


@pytest.mark.parametrize("image", ["", "images/z.png", "images/a.png/x", "n" * 300, "images/a\0.png"])
def test_images_that_are_not_there(root, image):
    write_rows(root, "image,label", "images/a.png,0", f"{image},1")
    collection = read(root)
    assert severities(collection) == {"a": 0}
    assert [problem.kind for problem in collection.problems] == [ProblemKind.MISSING]
    assert "line 3" in collection.problems[0].detail


# ---------------------------------------------------------------- grades


@pytest.mark.parametrize("cell", ["-1", "-1.0", "+2", "1001", "1" * 30])
def test_numbers_outside_the_scale(root, cell):
    write_rows(root, "image,label", "images/a.png,0", "images/b.png,1.0", f"images/c.png,{cell}")
    collection = read(root)
    assert severities(collection) == {"a": 0, "b": 1}
    assert problems_of(collection) == {"c.png": ProblemKind.GRADE}
    assert collection.problems[0].detail == f"line 4: label is {cell!r}"


@pytest.mark.parametrize("cells", [("mild", "severe"), ("0", "mild"), ("0.5", "1"), ("0", "nan")])
def test_names_need_an_order(root, cells):
    write_rows(root, "image,label", *(f"images/{name}.png,{cell}" for name, cell in zip("ab", cells)))
    with pytest.raises(InputError, match=r"label holds '.*', which are no whole numbers; .*--grades MILDEST,"):
        read(root)


def test_names_in_order(root):
    write_rows(root, "image,label", "images/a.png,Severe", "images/b.png,mild", "images/c.png,", "images/d.png,odd")
    collection = read(root, grades=["normal", "mild", "severe"])
    assert severities(collection) == {"a": 2, "b": 1, "c": None}
    assert list(collection.grades) == ["normal", "mild", "severe"]
    assert problems_of(collection) == {"d.png": ProblemKind.GRADE}


def test_numbers_as_names(root):
    write_rows(root, "image,label", "images/a.png,1", "images/b.png,3", "images/c.png,0")
    collection = read(root, grades=["1", "2", "3"])
    assert severities(collection) == {"a": 0, "b": 2}
    assert problems_of(collection) == {"c.png": ProblemKind.GRADE}


def test_names_for_numbers(root):
    write_rows(root, "image,label", "images/a.png,0", "images/b.png,1", "images/c.png,2")
    collection = read(root, grades=["none", "some"])
    assert severities(collection) == {"a": 0, "b": 1}
    assert list(collection.grades) == ["none", "some"]
    assert problems_of(collection) == {"c.png": ProblemKind.GRADE}


def test_names_that_are_not_in_the_column(root):
    write_rows(root, "image,label", "images/a.png,benign")
    with pytest.raises(InputError, match="no label is one of --grades low,high; found 'benign'"):
        read(root, grades=["low", "high"])


def test_names_beside_the_severity(root):
    write_rows(
        root,
        "image,severity,grade",
        *("images/a.png,0,healthy", "images/b.png,3,bad", "images/c.png,,ungraded", "images/d.png,1,"),
        "images/e.png,,unknown",
    )
    collection = read(root)
    assert severities(collection) == {"a": 0, "b": 3, "c": None, "d": 1, "e": None}
    assert list(collection.grades) == ["healthy", "1", "2", "bad"]
    assert list(read(root, grades=["w", "x", "y", "z"]).grades) == ["w", "x", "y", "z"]


def test_a_grade_beside_another_column_is_no_name(root):
    write_rows(root, "image,level,grade", "images/a.png,0,3", "images/b.png,1,0")
    assert list(read(root, grade_column="level").grades) == ["0", "1"]


def test_two_names_for_one_severity(root):
    write_rows(root, "image,severity,grade", "images/a.png,0,healthy", "images/b.png,0,normal")
    with pytest.raises(InputError, match=r"line 3: severity 0 is called 'normal' here and 'healthy' before"):
        read(root)


# ---------------------------------------------------------------- masks


def test_one_mask_column(root):
    write_rows(root, "image,label,mask", "images/a.png,1,masks/a.png", "images/b.png,0,Absent", "images/c.png,1,")
    collection = read(root)
    assert collection.structures == ("mask",)
    assert [record.masks for record in collection.records] == [{"mask": root / "masks/a.png"}, {"mask": None}, None]


def test_a_mask_column_for_each_structure(root):
    write_rows(
        root,
        "image,label,OD,EX,other",
        *("images/a.png,1,masks/a.png,,x", "images/b.png,0,,masks/b.png,x", "images/c.png,0,,,x"),
        "images/d.png,0,absent,absent,x",
    )
    collection = read(root, mask_columns=["EX", "OD"])
    assert collection.structures == ("EX", "OD")
    assert [record.masks for record in collection.records] == [
        {"EX": None, "OD": root / "masks/a.png"},
        {"EX": root / "masks/b.png", "OD": None},
        None,
        {"EX": None, "OD": None},
    ]


def test_a_mask_that_is_not_there(root):
    write_rows(root, "image,label,mask", "images/a.png,1,masks/z.png", "images/b.png,1,masks")
    assert problems_of(read(root)) == {"a.png": ProblemKind.MISSING, "b.png": ProblemKind.MISSING}


def test_masks_without_grades(root):
    write_rows(root, "image,mask", "images/a.png,masks/a.png")
    collection = read(root)
    assert collection.grades == ()
    assert collection.records[0].severity is None
    assert collection.records[0].masks == {"mask": root / "masks/a.png"}


# ---------------------------------------------------------------- DICOM


def test_patients_of_dicom_headers(root):
    for n, name in enumerate("xyz"):
        write_dicom(root / name, PatientID=f"secret {n // 2}")
    write_dicom(root / "w.dcm", PatientID=None)
    write_rows(root, "image,label", "x,0", "y,0", "z,1", "w.dcm,1", "images/a.png,0")
    collection = read(root)
    assert [record.group for record in collection.records] == ["secret 0", "secret 0", "secret 1", None, None]
    assert collection.private_groups
    assert any(note.startswith("1 DICOM image(s) without a PatientID") for note in collection.notes)


def test_a_group_column_goes_before_the_header(root):
    write_dicom(root / "x.dcm", PatientID="secret")
    write_rows(root, "image,label,patient", "x.dcm,0,p1", "images/a.png,1,p1")
    collection = read(root)
    assert [record.group for record in collection.records] == ["p1", "p1"]
    assert not collection.private_groups


def test_a_folder_is_a_series(root):
    for patient in "12":
        for n in range(3):
            write_dicom(root / patient / f"slice{n}", PatientID=patient, InstanceNumber=n)
    write_rows(root, "image,label", "1,0", "2,1")
    assert [record.group for record in read(root).records] == ["1", "2"]


# ---------------------------------------------------------------- command line


def test_command_line_with_every_option(root, tmp_path):
    names = [f"{grade}{n}" for grade in ("low", "mid", "high") for n in range(8)]
    for name in names:
        write_image(root / "x" / f"{name}.png")
    write_mask(root / "x" / "mask.png")
    write_rows(
        root,
        "p;g;who;where;m1;m2",
        *(
            f"x/{name}.png;{name[:-1]};{name[-1]};{'test' if name[-1] == '0' else 'train'};x/mask.png;"
            for name in names
        ),
    )
    datalist = run_datalist(
        "csv",
        root / "index.csv",
        tmp_path / "out.json",
        *("--image-column", "p", "--grade-column", "g", "--group-column", "who", "--split-column", "where"),
        *("--mask-columns", "m1,m2", "--grades", "low, mid,high", "--separator", ";"),
    )
    assert datalist["grades"] == ["low", "mid", "high"]
    assert datalist["structures"] == ["m1", "m2"]
    items = by_name(datalist)
    assert {name for name, (section, _) in items.items() if section == "test"} == {"low0.png", "mid0.png", "high0.png"}
    assert items["mid3.png"][1]["severity"] == 1
    assert [item["mask"][1] for _, item in items.values()] == [None] * len(names)
    for n in range(8):
        assert len({items[f"{grade}{n}.png"][0] for grade in ("low", "mid", "high")}) == 1


def test_command_line_writes_no_identifier(root, tmp_path, capsys):
    for n in range(12):
        write_dicom(root / f"{n}.dcm", PatientID=f"{SECRETS['PatientID']}-{n // 2}")
    write_rows(root, "image,label", *(f"{n}.dcm,{n // 2 % 2}" for n in range(12)))
    out = tmp_path / "out" / "out.json"
    items = by_name(run_datalist("csv", root, out))
    for n in range(0, 12, 2):
        assert items[f"{n}.dcm"][1]["group"] == items[f"{n + 1}.dcm"][1]["group"]
    written = "".join(path.read_text() for path in out.parent.iterdir()) + "".join(capsys.readouterr())
    assert not any(secret in written for secret in SECRETS.values())


def test_command_line_error_in_one_line(root, tmp_path, capsys):
    write_rows(root, "image,label", "images/a.png,mild")
    assert main(["datalist", "csv", "--root", str(root), "--out", str(tmp_path / "out.json")]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"Error: {root / 'index.csv'}: label holds 'mild', which are no whole numbers; name the grades in order, the "
        "mildest first, with --grades MILDEST,...,WORST, or another column with --grade-column"
    ]


# ---------------------------------------------------------------- real images

real = pytest.mark.skipif(not REAL.is_dir(), reason="needs the images of ../shared/data")


def run_real(tmp_path, name, *options):
    """Datalist, problems by file name, and the file names that the index flags."""
    datalist = run_datalist("csv", REAL / name, tmp_path / f"{name}.json", *options)
    problems = list(table_rows(read_table(tmp_path / f"{name}_problems.csv", ())))
    index = list(table_rows(read_table(REAL / name / "index.csv", ())))
    return (
        datalist,
        {Path(row["image"]).name: row["problem"] for _, row in problems},
        {Path(row["image"]).name for _, row in index if row["flag"]},
    )


@real
def test_idrid(tmp_path):
    datalist, problems, flagged = run_real(tmp_path, "idrid", "--mask-columns", "OD,EX,HE,MA,SE")
    conflict, copy = ProblemKind.CONFLICT, ProblemKind.DUPLICATE
    assert problems == {
        **{f"train_IDRiD_{number}.jpg": conflict for number in ("021", "391", "028", "327")},
        **{f"train_IDRiD_{number}.jpg": copy for number in ("279", "333", "375")},
    }
    kept_twins = {f"train_IDRiD_{number}.jpg" for number in ("045", "073", "079")}
    assert set(problems) | kept_twins == flagged - {"test_IDRiD_064.jpg"}  # its twin is not in the set
    assert datalist["grades"] == ["no_DR", "mild_NPDR", "moderate_NPDR", "severe_NPDR", "PDR"]
    assert datalist["structures"] == ["OD", "EX", "HE", "MA", "SE"]
    items = by_name(datalist)
    assert len(items) == 536 - 7
    assert all(("test_" in name) == (section == "test") for name, (section, _) in items.items())
    assert sum("severity" in item for item in datalist["test"]) == 103
    assert sum("mask" in item for _, item in items.values()) == 80  # one of 81 is among the conflicts
    assert any(None in item["mask"] for _, item in items.values() if "mask" in item)
    load_datalist(tmp_path / "idrid.json", required=("training", "validation", "test"))


@real
def test_busi(tmp_path):
    datalist, problems, flagged = run_real(tmp_path, "busi")
    assert problems == {"benign_433.png": ProblemKind.CONFLICT, "malignant_145.png": ProblemKind.CONFLICT}
    assert set(problems) == flagged
    items = [item for section in ("training", "validation", "test") for item in datalist[section]]
    assert [sum(item["severity"] == grade for item in items) for grade in range(3)] == [106, 349, 167]
    assert datalist["grades"] == ["normal", "benign", "malignant"]
    load_datalist(tmp_path / "busi.json", required=("training", "validation", "test"))


@real
def test_ph2(tmp_path):
    datalist = run_datalist("csv", REAL / "ph2", tmp_path / "ph2.json", "--strict")
    assert datalist["grades"] == ["common_nevus", "atypical_nevus", "melanoma"]
    items = [item for section in ("training", "validation", "test") for item in datalist[section]]
    assert [sum(item["severity"] == grade for item in items) for grade in range(3)] == [64, 63, 32]
    assert all("mask" in item for item in items)


# ---------------------------------------------------------------- fuzz: a datalist or one line, never a traceback

CELL = st.sampled_from(
    ["a.png", "b.png", "c.png", "", ".", "..", "0", "1", "2", "-1", "1.0", "x", "mild", "train", "val", "absent", "\0"]
)
HEADER = st.lists(
    st.sampled_from(["image", "file", "severity", "grade", "label", "group", "split", "set", "mask", "x", ""]),
    min_size=1,
    max_size=5,
)
PLAUSIBLE = st.builds(
    lambda header, rows: "\n".join(",".join(row) for row in [header, *rows]),
    HEADER,
    st.lists(st.lists(CELL, max_size=5), max_size=6),
)


@pytest.fixture(scope="module")
def fuzz_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    for name in "abc":
        write_image(folder / f"{name}.png")
    return folder


@given(
    content=st.text() | st.binary() | PLAUSIBLE | PLAUSIBLE.map(lambda text: "image,label\na.png,0\nb.png,1\n" + text),
    grades=st.none() | st.just("0,mild"),
)
def test_fuzz_command_line(fuzz_folder, capsys, content, grades):
    path, out = fuzz_folder / "table.csv", fuzz_folder / "out.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    options = [] if grades is None else ["--grades", grades]
    status = main(["datalist", "csv", "--root", str(path), "--out", str(out), "--resplit", *options])
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == status
    if status == 0:
        assert {"training", "validation", "test", "unlabelled"} <= set(json.loads(out.read_text()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from(["a.png", "out.json", "\0", "x" * 300, ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["image", "group", "x"]), inner),
    max_leaves=6,
)
SECTIONS = ("training", "validation", "test", "unlabelled")
EARLIER = st.fixed_dictionaries(
    dict.fromkeys(SECTIONS, st.lists(st.fixed_dictionaries({"image": JSON}) | JSON, max_size=2) | JSON)
)


@given(content=(JSON | EARLIER).map(json.dumps) | st.text() | st.binary())
def test_fuzz_earlier_datalist(fuzz_folder, capsys, content):
    path, out = fuzz_folder / "table.csv", fuzz_folder / "earlier.json"
    path.write_text("image,label\na.png,0\nb.png,1\nc.png,1\n")
    out.write_bytes(content if isinstance(content, bytes) else content.encode())
    status = main(["datalist", "csv", "--root", str(path), "--out", str(out)])
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == status
    if status == 0:
        assert len(by_name(json.loads(out.read_text()))) == 3
