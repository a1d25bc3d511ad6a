# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from monai_semise.__main__ import main
from monai_semise.apps.datasets import VindrMammo
from monai_semise.data.collection import ProblemKind
from monai_semise.transforms import LoadCheckedImage
from monai_semise.utils import InputError
from tests.apps.datasets.files import (
    COLUMNS,
    ROWS,
    SECRETS,
    by_name,
    pixels,
    problems_of,
    records_by_name,
    run_datalist,
    write_dicom,
    write_text,
)

BREASTS = (
    "study_id,series_id,image_id,laterality,view_position,height,width,breast_birads,breast_density,split",
    # s1 has two views called CC of its left breast, as one study of the data set has
    "s1,e1,i1,L,CC,16,12,BI-RADS 1,DENSITY A,training",
    "s1,e1,i2,L,CC,16,12,BI-RADS 1,DENSITY A,training",
    "s2,e2,i3,R,MLO,16,12,BI-RADS 2,DENSITY B,training",
    "s2,e2,i4,R,CC,16,12,BI-RADS 3,DENSITY C,training",
    "s3,e3,i5,L,CC,16,12,BI-RADS 4,DENSITY D,training",
    "s4,e4,i6,L,MLO,16,12,BI-RADS 5,DENSITY C,test",
    "s4,e4,i7,R,MLO,16,12,BI-RADS 1,DENSITY C,test",
)
SEVERITY = {"i1": 0, "i2": 0, "i3": 1, "i4": 2, "i5": 3, "i6": 4, "i7": 0}
DENSITY = {"i1": 0, "i2": 0, "i3": 1, "i4": 2, "i5": 3, "i6": 2, "i7": 2}
FINDINGS = (
    "image_id,study_id,series_id,laterality,view_position,height,width,breast_birads,breast_density,"
    "finding_categories,finding_birads,xmin,ymin,xmax,ymax,split",
    "i1,s1,e1,L,CC,16,12,BI-RADS 1,DENSITY A,['No Finding'],,,,,,training",
    "i2,s1,e1,L,CC,16,12,BI-RADS 1,DENSITY A,['No Finding'],,,,,,training",
    "i3,s2,e2,R,MLO,16,12,BI-RADS 2,DENSITY B,['No Finding'],,,,,,training",
    "i4,s2,e2,R,CC,16,12,BI-RADS 3,DENSITY C,['Mass'],BI-RADS 3,2.0,3.0,5.0,7.0,training",
    "i5,s3,e3,L,CC,16,12,BI-RADS 4,DENSITY D,\"['Suspicious Calcification', 'Mass']\",BI-RADS 4,"
    "0.6,0.4,3.2,1.2,training",
    "i5,s3,e3,L,CC,16,12,BI-RADS 4,DENSITY D,['Skin Thickening'],,9.0,14.5,20.0,30.0,training",
    "i6,s4,e4,L,MLO,16,12,BI-RADS 5,DENSITY C,['Mass'],BI-RADS 5,-4.0,-1.0,2.0,1.0,test",
)
WINDOWS = {"WindowCenter": [2048, 3000], "WindowWidth": [4096, 500]}


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "data"
    write_text(root / "breast-level_annotations.csv", *BREASTS)
    write_text(root / "finding_annotations.csv", *FINDINGS)
    (root / "metadata.csv").write_bytes(b"\xff not a table")
    quirks = {
        "i1": {
            "transfer_syntax": ExplicitVRLittleEndian,
            "MediaStorageSOPClassUID": "1.2.3.4",
            "SOPClassUID": "1.2.3.4",
        },
        "i2": {"transfer_syntax": RLELossless, "PhotometricInterpretation": "MONOCHROME1"},
        "i3": {"transfer_syntax": JPEG2000Lossless, **WINDOWS},
        "i4": {"transfer_syntax": ImplicitVRLittleEndian, "PresentationIntentType": None},
        "i5": {"transfer_syntax": DeflatedExplicitVRLittleEndian, "bits": 14},
    }
    for line in BREASTS[1:]:
        study, _, image, *_ = line.split(",")
        write_dicom(root / "images" / study / f"{image}.dicom", **quirks.get(image, {}))
    return root


def change(root, name, old, new):
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def stems(records, value):
    return {record.image.stem: value(record) for record in records}


@pytest.mark.parametrize(("target", "expected"), [("birads", SEVERITY), ("density", DENSITY)])
def test_grades(root, tmp_path, target, expected):
    collection = VindrMammo(target=target).read(root, tmp_path / "work")
    assert stems(collection.records, lambda record: record.severity) == expected
    words = {"birads": "BI-RADS", "density": "DENSITY"}[target]
    assert all(name.startswith(words) for name in collection.grades)
    assert len(collection.grades) == {"birads": 5, "density": 4}[target]
    assert any("no severity" in note for note in collection.notes) == (target == "density")
    assert not collection.problems
    assert not collection.structures
    assert not (tmp_path / "work").exists()


def test_the_files_have_the_transfer_syntaxes_and_quirks_that_they_stand_for(root):
    headers = {path.stem: pydicom.dcmread(path) for path in root.rglob("*.dicom")}
    syntaxes = {header.file_meta.TransferSyntaxUID for header in headers.values()}
    assert len(syntaxes) == 5
    assert headers["i1"].file_meta.MediaStorageSOPClassUID == "1.2.3.4"
    assert len(headers["i3"].WindowCenter) == 2
    for path in root.rglob("*.dicom"):
        header = headers[path.stem]
        assert np.array_equal(header.pixel_array, pixels(path, header.BitsStored))


def test_split_is_published_and_the_group_is_the_study(root, tmp_path):
    records = VindrMammo().read(root, tmp_path / "work").records
    assert Counter(record.split for record in records) == {"training": 5, "test": 2}
    groups = {"i1": "s1", "i2": "s1", "i3": "s2", "i4": "s2", "i5": "s3", "i6": "s4", "i7": "s4"}
    assert stems(records, lambda record: record.group) == groups


def test_archive_in_a_folder_of_its_own_name(root, tmp_path):
    (tmp_path / "outer").mkdir()
    root.rename(tmp_path / "outer" / "vindr-mammo-1.0.0")
    assert len(VindrMammo().read(tmp_path / "outer", tmp_path / "work").records) == 7


def test_raw_detector_data_is_left_out_with_a_note(root, tmp_path):
    write_dicom(root / "images/s2/i3.dicom", PresentationIntentType="FOR PROCESSING")
    collection = VindrMammo().read(root, tmp_path / "work")
    assert "i3" not in stems(collection.records, lambda record: record)
    assert len(collection.records) == 6
    assert not collection.problems
    assert [note for note in collection.notes if note.startswith("1 image(s) of raw detector data")]
    assert not any("no table names" in note for note in collection.notes)


def test_problems_of_single_images(root, tmp_path):
    change(root, "breast-level_annotations.csv", "BI-RADS 4", "BI-RADS 6")
    (root / "images/s2/i4.dicom").unlink()
    write_dicom(root / "images/s9/i9.dicom")
    collection = VindrMammo().read(root, tmp_path / "work")
    assert problems_of(collection) == {"i5.dicom": ProblemKind.GRADE, "i4.dicom": ProblemKind.MISSING}
    details = {problem.image.stem: problem.detail for problem in collection.problems}
    assert "'BI-RADS 6'" in details["i5"]
    assert details["i4"] == "named in line 5 of breast-level_annotations.csv"
    assert any(note.startswith("1 image file(s) that no table names") for note in collection.notes)
    assert len(collection.records) == 5


def test_masks_of_the_boxes(root, tmp_path):
    work = tmp_path / "work"
    collection = VindrMammo(masks=True).read(root, work)
    masks = stems(collection.records, lambda record: record.masks)
    assert tuple(collection.structures) == ("finding",)
    assert masks["i1"] == masks["i2"] == masks["i3"] == {"finding": None}
    assert masks["i7"] is None, "the table of findings does not name it"
    expected = {name: np.zeros((ROWS, COLUMNS), dtype=np.uint8) for name in ("i4", "i5", "i6")}
    expected["i4"][3:7, 2:5] = 255
    expected["i5"][0:2, 0:4] = 255  # every pixel that the box touches
    expected["i5"][14:16, 9:12] = 255  # cut where the image ends
    expected["i6"][0:1, 0:2] = 255
    assert sorted(path.stem for path in (work / "masks").iterdir()) == sorted(expected)
    for name, mask in expected.items():
        assert masks[name]["finding"] == work / "masks" / f"{name}.png"
        assert np.array_equal(np.asarray(Image.open(masks[name]["finding"])), mask), name


def test_masks_lie_on_the_image_as_it_is_loaded(root, tmp_path):
    record = records_by_name(VindrMammo(masks=True).read(root, tmp_path / "work"))["i4.dicom"]
    load = LoadCheckedImage(channels=1)
    image, mask = load(record.image), load(record.masks["finding"])
    assert image.shape == mask.shape
    assert mask[0, 2:5, 3:7].min() == 255
    assert mask.sum() == 255 * 3 * 4


def test_a_box_outside_the_image(root, tmp_path):
    change(root, "finding_annotations.csv", "2.0,3.0,5.0,7.0", "12.0,3.0,15.0,7.0")
    collection = VindrMammo(masks=True).read(root, tmp_path / "work")
    assert problems_of(collection) == {"i4.dicom": ProblemKind.MASK_OVERLAP}
    assert "16 x 12 pixels" in collection.problems[0].detail


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2.0,3.0,5.0,7.0", "2.0,,5.0,7.0"),
        ("2.0,3.0,5.0,7.0", ",,,"),
        ("2.0,3.0,5.0,7.0", "2.0,nan,5.0,7.0"),
        ("2.0,3.0,5.0,7.0", "2.0,3.0,inf,7.0"),
        ("['No Finding'],,,,,,training\ni2", "['No Finding'],,1.0,,,,training\ni2"),
    ],
)
def test_a_box_that_is_none(root, tmp_path, old, new):
    change(root, "finding_annotations.csv", old, new)
    with pytest.raises(
        InputError, match=r"finding_annotations.csv, line \d: xmin, ymin, xmax, ymax are '.*a finding has"
    ):
        VindrMammo(masks=True).read(root, tmp_path / "work")
    assert len(VindrMammo().read(root, tmp_path / "work").records) == 7, "without masks the boxes do not matter"


@given(
    st.lists(st.text("0123456789.-einfa ", max_size=6), min_size=4, max_size=4), st.sampled_from(["Mass", "No Finding"])
)
def test_any_box_is_drawn_reported_or_refused(root, tmp_path, edges, category):
    row = f"i4,s2,e2,R,CC,16,12,BI-RADS 3,DENSITY C,['{category}'],,{','.join(edges)},training"
    write_text(root / "finding_annotations.csv", FINDINGS[0], row)
    try:
        collection = VindrMammo(masks=True).read(root, tmp_path / "work")
    except InputError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert "line 2: xmin" in refusal
    elif collection.problems:
        assert problems_of(collection) == {"i4.dicom": ProblemKind.MASK_OVERLAP}
    else:
        mask = records_by_name(collection)["i4.dicom"].masks["finding"]
        nothing = category == "No Finding" and not "".join(edges).strip()
        assert mask is None if nothing else np.asarray(Image.open(mask)).max() == 255


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("DENSITY A,training", "DENSITY A,train", r"line 2: split is 'train', not training or test"),
        ("R,CC,16,12,", "R,CC,tall,12,", r"line 5: height 'tall' and width '12' are not numbers"),
        ("breast_birads", "birads", r"no column 'breast_birads'"),
    ],
)
def test_a_table_of_another_form(root, tmp_path, old, new, message):
    change(root, "breast-level_annotations.csv", old, new)
    with pytest.raises(InputError, match=message):
        VindrMammo(masks=True).read(root, tmp_path / "work")


def test_a_root_that_holds_something_else(root, tmp_path):
    (root / "breast-level_annotations.csv").unlink()
    with pytest.raises(InputError, match=r"no 'breast-level_annotations.csv' in it; --root must hold .*found finding"):
        VindrMammo().read(root, tmp_path / "work")
    write_text(root / "breast-level_annotations.csv", *BREASTS)
    (root / "images").rename(root / "pictures")
    with pytest.raises(InputError, match=r"images: no such folder"):
        VindrMammo().read(root, tmp_path / "work")


def test_unknown_target():
    with pytest.raises(ValueError, match="densty"):
        VindrMammo(target="densty")


def test_command_line(root, tmp_path, capsys):
    datalist = run_datalist("vindr-mammo", root, tmp_path / "out" / "out.json", "--masks", "--validation", "0.2")
    items = by_name(datalist)
    assert {Path(name).stem: item["severity"] for name, (_, item) in items.items()} == SEVERITY
    assert {Path(name).stem for name, (section, _) in items.items() if section == "test"} == {"i6", "i7"}
    assert datalist["validation"], "it is carved from training"
    assert items["i1.dicom"][0] == items["i2.dicom"][0]
    assert datalist["structures"] == ["finding"]
    assert items["i4.dicom"][1]["mask"] == "out_files/masks/i4.png"
    assert items["i1.dicom"][1]["mask"] == [None]
    assert "mask" not in items["i7.dicom"][1]
    assert (tmp_path / "out" / "out_files" / "masks" / "i4.png").exists()
    output = capsys.readouterr()
    written = "".join(path.read_text() for path in (tmp_path / "out").glob("*.*") if path.is_file())
    for secret in SECRETS.values():
        assert secret not in output.out + output.err + written


def test_command_line_validation_is_8_percent_of_all(tmp_path):
    lines = [
        f"s{n // 2},e,i{n},L,CC,16,12,BI-RADS {1 + n // 2 % 2},DENSITY A,{'test' if n >= 80 else 'training'}"
        for n in range(100)
    ]
    write_text(tmp_path / "data" / "breast-level_annotations.csv", BREASTS[0], *lines)
    for n in range(100):
        write_dicom(tmp_path / "data" / "images" / f"s{n // 2}" / f"i{n}.dicom")
    datalist = run_datalist("vindr-mammo", tmp_path / "data", tmp_path / "out.json")
    assert {name: len(datalist[name]) for name in ("training", "validation", "test")} == {
        "training": 72,
        "validation": 8,
        "test": 20,
    }


def test_command_line_density(root, tmp_path, capsys):
    datalist = run_datalist("vindr-mammo", root, tmp_path / "out.json", "--target", "density")
    assert {Path(name).stem: item["severity"] for name, (_, item) in by_name(datalist).items()} == DENSITY
    assert datalist["grades"] == ["DENSITY A", "DENSITY B", "DENSITY C", "DENSITY D"]
    assert "it is no severity" in capsys.readouterr().out


def test_command_line_on_damaged_files(root, tmp_path, capsys):
    whole = root / "images/s1/i1.dicom"
    whole.write_bytes(whole.read_bytes()[:-100])
    (root / "images/s1/i2.dicom").write_bytes(b"no image at all")
    assert main(["datalist", "vindr-mammo", "--root", str(root), "--out", str(tmp_path / "o.json"), "--strict"]) == 1
    error = capsys.readouterr().err
    assert "unreadable file: 2 image(s) left out" in error
    assert not (tmp_path / "o.json").exists()
    assert len(by_name(run_datalist("vindr-mammo", root, tmp_path / "o.json"))) == 5
