# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless, generate_uid

from monai_semise.__main__ import main
from monai_semise.apps.datasets import ImageFolder
from monai_semise.data.collection import ProblemKind
from monai_semise.utils import InputError
from tests.apps.datasets.files import (
    SECRETS,
    by_name,
    pixels,
    problems_of,
    records_by_name,
    run_datalist,
    write_dicom,
    write_image,
    write_mask,
    write_text,
)

ORDER = ("normal", "benign", "malignant")


def read(root, **options):
    return ImageFolder(**options).read(root, root / "work")


def write_images(root, *names):
    for name in names:
        write_image(root / name)
    return root


def write_volume(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.stack([pixels(path), pixels(path / "2")], axis=-1), np.eye(4)), path)


def write_series(folder, n_slices=3, **elements):
    series = {"SeriesInstanceUID": generate_uid(), **elements}
    for n in range(n_slices):
        position = {
            "InstanceNumber": n + 1,
            "ImagePositionPatient": [0, 0, n],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        }
        write_dicom(folder / f"IM{n:04d}", **position, PixelSpacing=[1, 1], **series)


# ---------------------------------------------------------------- grades


def test_given_order(tmp_path):
    write_images(tmp_path, "benign/a.png", "malignant/b.JPG", "normal/c.tif", "normal/deep/er/d.bmp")
    collection = read(tmp_path, grades=ORDER)
    severity = {record.image.name: record.severity for record in collection.records}
    assert severity == {"a.png": 1, "b.JPG": 2, "c.tif": 0, "d.bmp": 0}
    assert tuple(collection.grades) == ORDER
    assert collection.name == tmp_path.name
    assert {(record.split, record.group) for record in collection.records} == {(None, None)}


def test_numbered_folders(tmp_path):
    write_images(tmp_path, *(f"{n}/{n}.png" for n in range(12)))
    collection = read(tmp_path)
    assert {record.image.name: record.severity for record in collection.records} == {f"{n}.png": n for n in range(12)}
    assert list(collection.grades) == [str(n) for n in range(12)]


@pytest.mark.parametrize(
    "names", [("benign", "normal"), ("1", "2", "3"), ("0", "2"), ("0", "x"), ("00", "01"), ("-1", "0")]
)
def test_the_order_is_never_alphabetical(tmp_path, names):
    write_images(tmp_path, *(f"{name}/{name}.png" for name in names))
    with pytest.raises(InputError, match=rf"found the folders {', '.join(names)}, which .*--grades MILDEST,...,WORST"):
        read(tmp_path)
    assert [record.severity for record in read(tmp_path, grades=names).records] == list(range(len(names)))


def test_folders_that_are_no_grade(tmp_path):
    write_images(tmp_path, "0/a.png", "1/b.png", "overview/c.png", ".hidden/d.png", "e.png")
    write_text(tmp_path / "docs" / "readme.txt", "nothing")
    with pytest.raises(InputError, match="found the folders 0, 1, overview, which are not numbered"):
        read(tmp_path)
    collection = read(tmp_path, grades=["0", "1"])
    assert set(records_by_name(collection)) == {"a.png", "b.png"}
    assert collection.notes == [
        f"1 image file(s) in {tmp_path / 'overview'} are left out: not one of --grades",
        "patients are not known: images of one may lie on both sides of the split; tell them with --group-pattern",
    ]
    (tmp_path / "overview" / "c.png").unlink()
    assert len(read(tmp_path).records) == 2


def test_a_grade_without_images(tmp_path):
    write_images(tmp_path, "normal/a.png")
    (tmp_path / "benign").mkdir()
    with pytest.raises(InputError, match=r"no folder 'benign' with images, as --grades says; found normal$"):
        read(tmp_path, grades=["normal", "benign"])


@pytest.mark.parametrize("names", [(), ("a.png",), ("unlabelled/a.png",)])
def test_no_grade_folder(tmp_path, names):
    write_images(tmp_path, *names)
    with pytest.raises(InputError, match="no folder with images in it; --root must hold one folder for each grade"):
        read(tmp_path)


def test_root_is_a_file(tmp_path):
    with pytest.raises(InputError, match="no such folder; --root must hold one folder for each grade"):
        read(write_image(tmp_path / "a.png"))


@pytest.mark.parametrize("name", ["unlabelled", "unlabeled", "Unlabelled"])
def test_unlabelled(tmp_path, name):
    write_images(tmp_path, "0/a.png", "1/b.png", f"{name}/c.png")
    record = records_by_name(read(tmp_path))["c.png"]
    assert (record.severity, record.split) == (None, None)


# ---------------------------------------------------------------- splits


def test_outer_split_folders(tmp_path):
    write_images(tmp_path, "train/0/a.png", "Training/1/b.png", "valid/0/c.png", "test/1/d.png")
    write_images(tmp_path, "train/unlabelled/e.png", "unlabelled/f.png")
    assert {name: (r.split, r.severity) for name, r in records_by_name(read(tmp_path)).items()} == {
        **{"a.png": ("training", 0), "b.png": ("training", 1), "c.png": ("validation", 0), "d.png": ("test", 1)},
        **{"e.png": ("training", None), "f.png": (None, None)},
    }


def test_a_grade_may_be_missing_in_one_split(tmp_path):
    write_images(tmp_path, "train/low/a.png", "train/high/b.png", "test/low/c.png")
    assert len(read(tmp_path, grades=["low", "high"]).records) == 3


def test_grades_beside_splits(tmp_path):
    write_images(tmp_path, "train/0/a.png", "1/b.png")
    with pytest.raises(InputError, match="holds 1 beside the split folders train; move it into one"):
        read(tmp_path)


# ---------------------------------------------------------------- groups


def test_group_pattern(tmp_path):
    write_images(tmp_path, "0/p1/a.png", "1/p1/deep/b.png", "1/p2/c.png")
    groups = {record.image.name: record.group for record in read(tmp_path, group_pattern="^([^/]+)/").records}
    assert groups == {"a.png": "p1", "b.png": "p1", "c.png": "p2"}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"'\(': not a regular expression \(.*unterminated"),
        ("[a-z]+", "has 0 capture groups; put one"),
        ("(a)(b)", "has 2 capture groups"),
        ("^(p[0-9]+)/", "finds no patient in a.png of .*0; extend the pattern"),
        ("^(p*)", "finds no patient in a.png"),
    ],
)
def test_wrong_group_pattern(tmp_path, pattern, message):
    write_images(tmp_path, "0/a.png", "1/p1/b.png")
    with pytest.raises(InputError, match=f"--group-pattern .*{message}"):
        read(tmp_path, group_pattern=pattern)


# ---------------------------------------------------------------- DICOM and volumes


def test_dicom_files_without_ending_are_grouped_by_patient(tmp_path):
    for n, name in enumerate(("0/IM1", "0/1.2.840.1", "1/c.DCM", "1/d.dicom")):
        write_dicom(tmp_path / name, PatientID=f"secret {n % 2}")
    write_text(tmp_path / "0" / "notes", "no image")
    write_text(tmp_path / "0" / "tiny", "")
    write_dicom(tmp_path / "DICOMDIR")
    write_dicom(tmp_path / "1" / "DICOMDIR")
    collection = read(tmp_path)
    assert {name: (r.severity, r.group) for name, r in records_by_name(collection).items()} == {
        **{"IM1": (0, "secret 0"), "1.2.840.1": (0, "secret 1")},
        **{"c.DCM": (1, "secret 0"), "d.dicom": (1, "secret 1")},
    }
    assert collection.private_groups


def test_a_pattern_goes_before_the_header(tmp_path):
    for name in ("0/p1_a", "1/p2_b"):
        write_dicom(tmp_path / name, PatientID=f"secret of {name}")
    collection = read(tmp_path, group_pattern="(p[0-9])_")
    assert [record.group for record in collection.records] == ["p1", "p2"]
    assert not collection.private_groups


def test_volumes(tmp_path):
    write_volume(tmp_path / "0" / "a.nii.gz")
    write_series(tmp_path / "1" / "p1" / "s1", PatientID="p1")
    write_series(tmp_path / "1" / "p1" / "s2", PatientID="p1")
    write_series(tmp_path / "1" / "p2", PatientID="p2")
    write_image(tmp_path / "1" / "p2" / "overview.png")
    collection = read(tmp_path, spatial_dims=3)
    found = {record.image.relative_to(tmp_path).as_posix(): record for record in collection.records}
    assert {name: (record.severity, record.group) for name, record in found.items()} == {
        "0/a.nii.gz": (0, None),
        "1/p1/s1": (1, "p1"),
        "1/p1/s2": (1, "p1"),
        "1/p2": (1, "p2"),
    }
    assert "1 image(s) of formats without a depth, such as PNG, are left out" in collection.notes
    flat = read(tmp_path)
    assert len(flat.records) == 1 + 9 + 1


def test_every_kind_of_volume_file(tmp_path):
    write_images(tmp_path, "0/x.png")
    for suffix in (".nii", ".nrrd", ".nhdr", ".mha", ".MHD"):
        write_text(tmp_path / "1" / f"a{suffix}", "content does not matter here")
    write_dicom(tmp_path / "0" / "frames.dcm", NumberOfFrames=4)
    collection = read(tmp_path, spatial_dims=3)
    assert set(records_by_name(collection)) == {"frames.dcm", "a.nii", "a.nrrd", "a.nhdr", "a.mha", "a.MHD"}


def test_a_folder_of_two_series(tmp_path):
    write_volume(tmp_path / "0" / "a.nii.gz")
    write_series(tmp_path / "1" / "mixed", n_slices=1)
    write_dicom(tmp_path / "1" / "mixed" / "other")
    write_series(tmp_path / "1" / "frames", n_slices=2)
    write_dicom(tmp_path / "1" / "frames" / "frames.dcm", NumberOfFrames=4)
    write_series(tmp_path / "1" / "good")
    collection = read(tmp_path, spatial_dims=3)
    assert problems_of(collection) == {"mixed": ProblemKind.UNREADABLE, "frames": ProblemKind.UNREADABLE}
    assert set(records_by_name(collection)) == {"a.nii.gz", "frames.dcm", "good"}


def test_a_series_right_in_its_grade_folder(tmp_path):
    write_series(tmp_path / "0")
    write_series(tmp_path / "1")
    assert [record.image.name for record in read(tmp_path, spatial_dims=3).records] == ["0", "1"]


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize("ending", ["", "_mask", "_seg", "_Segmentation"])
def test_masks_in_a_folder_of_their_own(tmp_path, ending):
    root = write_images(tmp_path / "images", "0/a.jpg", "1/deep/b.jpg", "1/c.jpg")
    for name in (f"0/a{ending}.png", f"1/deep/b{ending}.png", "1/b.png"):
        write_mask(tmp_path / "masks" / name)
    collection = read(root, masks=str(tmp_path / "masks"))
    assert collection.structures == ("mask",)
    assert {name: record.masks for name, record in records_by_name(collection).items()} == {
        "a.jpg": {"mask": tmp_path / "masks" / "0" / f"a{ending}.png"},
        "b.jpg": {"mask": tmp_path / "masks" / "1" / "deep" / f"b{ending}.png"},
        "c.jpg": None,
    }
    assert f"1 file(s) in {tmp_path / 'masks'} are the mask of no image" in collection.notes


def test_masks_inside_the_root_are_no_grade(tmp_path):
    write_images(tmp_path, "0/a.png", "1/b.png")
    write_mask(tmp_path / "masks" / "1" / "b.png")
    collection = read(tmp_path, masks=str(tmp_path / "masks"))
    assert [record.masks for record in collection.records] == [None, {"mask": tmp_path / "masks" / "1" / "b.png"}]


def test_masks_beside_the_images(tmp_path):
    write_images(tmp_path, *(f"{grade}/{grade} (1).png" for grade in ORDER), "malignant/malignant (2).png")
    for name in ("benign (1)_mask", "malignant (1)_mask", "malignant (2)_mask", "malignant (2)_mask_1"):
        write_mask(tmp_path / name.split()[0] / f"{name}.png")
    without = read(tmp_path, grades=ORDER)
    assert len(without.records) == 4
    assert "4 file(s) named like the mask of another image are not taken for images" in without.notes
    assert without.structures == ()
    collection = read(tmp_path, grades=ORDER, masks=str(tmp_path))
    assert {name: record.masks for name, record in records_by_name(collection).items()} == {
        "normal (1).png": None,
        "benign (1).png": {"mask": tmp_path / "benign" / "benign (1)_mask.png"},
        "malignant (1).png": {"mask": tmp_path / "malignant" / "malignant (1)_mask.png"},
        "malignant (2).png": None,
    }
    assert "1 image(s) with several mask files go without; merge them into one file" in collection.notes


def test_relative_root(tmp_path, monkeypatch):
    write_images(tmp_path, "0/a.png", "1/b.png")
    write_mask(tmp_path / "1" / "b_mask.png")
    monkeypatch.chdir(tmp_path)
    collection = ImageFolder(masks=".").read(Path(), Path("work"))
    assert collection.name == tmp_path.name
    assert [record.masks for record in collection.records] == [None, {"mask": tmp_path / "1" / "b_mask.png"}]


def test_masks_of_volumes(tmp_path):
    write_volume(tmp_path / "0" / "a.nii.gz")
    write_series(tmp_path / "1" / "case")
    write_volume(tmp_path / "0" / "a_seg.nii.gz")
    write_volume(tmp_path / "1" / "case.nii.gz")
    collection = read(tmp_path, spatial_dims=3)
    assert set(records_by_name(collection)) == {"a.nii.gz", "case", "case.nii.gz"}
    (tmp_path / "1" / "case.nii.gz").rename(tmp_path / "1" / "case_seg.nii.gz")
    collection = read(tmp_path, spatial_dims=3, masks=str(tmp_path))
    assert records_by_name(collection)["a.nii.gz"].masks == {"mask": tmp_path / "0" / "a_seg.nii.gz"}


def test_wrong_mask_folder(tmp_path):
    root = write_images(tmp_path / "images", "0/a.png", "1/b.png")
    with pytest.raises(InputError, match=r"--masks: .*nowhere is not a folder"):
        read(root, masks=str(tmp_path / "nowhere"))
    write_mask(tmp_path / "masks" / "a.png")
    with pytest.raises(InputError, match=r"--masks: no file in .*masks lies there as an image lies in"):
        read(root, masks=str(tmp_path / "masks"))


# ---------------------------------------------------------------- command line


def test_command_line(tmp_path, monkeypatch):
    root = tmp_path / "mine"
    for grade in ORDER:
        for patient in range(10):
            write_images(
                root, f"{grade}/p{patient}/{grade}-{patient}-{0}.png", f"{grade}/p{patient}/{grade}-{patient}-{1}.png"
            )
            write_mask(tmp_path / "masks" / grade / f"p{patient}" / f"{grade}-{patient}-0.png")
    write_images(root, "unlabelled/x.png")
    monkeypatch.chdir(tmp_path)  # relative paths
    datalist = run_datalist(
        *("folder", "mine", "out.json", "--grades", ",".join(ORDER), "--masks", "masks"),
        *("--group-pattern", "([px][0-9]?)", "--seed", "1"),
    )
    assert datalist["grades"] == list(ORDER)
    items = by_name(datalist)
    assert items["x.png"][0] == "unlabelled"
    for patient in range(10):
        assert len({items[f"{grade}-{patient}-{n}.png"][0] for grade in ORDER for n in range(2)}) == 1
    assert items["benign-3-0.png"][1]["severity"] == 1
    assert items["benign-3-0.png"][1]["mask"] == "masks/benign/p3/benign-3-0.png"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless])
def test_command_line_dicom(tmp_path, capsys, syntax):
    for grade in range(2):
        for n in range(10):
            write_dicom(tmp_path / "in" / f"{grade}" / f"{n}", syntax, PatientID=f"{SECRETS['PatientID']}-{n // 2}")
    datalist = run_datalist("folder", tmp_path / "in", tmp_path / "out" / "out.json", "--strict")
    items = [item for section in ("training", "validation", "test") for item in datalist[section]]
    assert len(items) == 20
    assert {item["group"] for item in items} == {f"patient-{n:05d}" for n in range(1, 6)}
    written = "".join(path.read_text() for path in (tmp_path / "out").iterdir()) + "".join(capsys.readouterr())
    assert not any(secret in written for secret in SECRETS.values())


def test_command_line_volumes(tmp_path):
    for grade in range(2):
        for n in range(4):
            write_series(tmp_path / "in" / str(grade) / f"case{n}", PatientID=f"{grade}{n}")
            write_volume(tmp_path / "in" / str(grade) / f"volume{n}.nii.gz")
    datalist = run_datalist("folder", tmp_path / "in", tmp_path / "out.json", "--spatial-dims", "3", "--strict")
    items = [item for section in ("training", "validation", "test") for item in datalist[section]]
    assert len(items) == 16
    assert sum("group" in item for item in items) == 8


def test_command_line_error_in_one_line(tmp_path, capsys):
    write_images(tmp_path, "good/a.png", "bad/b.png")
    assert main(["datalist", "folder", "--root", str(tmp_path), "--out", str(tmp_path / "out.json")]) == 1
    assert capsys.readouterr().err == (
        f"Error: {tmp_path}: found the folders bad, good, which are not numbered 0, 1, 2, ...; name them in order, the "
        "mildest first, with --grades MILDEST,...,WORST\n"
    )


def test_folders_behind_links_are_looked_into_once(tmp_path):
    write_images(tmp_path / "archive", "p2/b.png")
    write_images(tmp_path / "root", "0/p1/a.png", "1/c.png")
    (tmp_path / "root" / "0" / "p2").symlink_to(tmp_path / "archive" / "p2")
    (tmp_path / "root" / "0" / "loop").symlink_to(tmp_path / "root" / "0")
    assert set(records_by_name(read(tmp_path / "root"))) == {"a.png", "b.png", "c.png"}
