# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from monai_semise.apps.datasets import Messidor2
from monai_semise.data.collection import ProblemKind
from monai_semise.utils import InputError
from tests.apps.datasets.files import by_name, problems_of, records_by_name, run_datalist, write_image, write_text

PNG = [f"20051109_{57000 + n}_0400_PP.png" for n in range(20)]
JPG = [f"IM{n:06d}.JPG" for n in range(20)]
FILES = [*PNG, *JPG]
ORIGINAL = "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable"
MIRROR = "id_code,diagnosis,adjudicated_dme,adjudicated_gradable"


def write_data_set(root, header=ORIGINAL, folder="IMAGES", ungradable=(), name=str):
    rows = [f"{name(f)},,,0" if f in ungradable else f"{name(f)},{n % 5},0,1" for n, f in enumerate(FILES)]
    write_text(root / "messidor_data.csv", header, *rows)
    for file in FILES:
        write_image(root / folder / file)
    return root


def write_pairs(root):
    pairs = [f"{left};{right}" for names in (PNG, JPG) for left, right in zip(names[::2], names[1::2])]
    write_text(root / "messidor-2.csv", "left;right ", *pairs)


def read(root):
    return Messidor2().read(root, root / "work")


@pytest.mark.parametrize(
    ("header", "folder"), [(ORIGINAL, "IMAGES"), (MIRROR, "IMAGES"), (MIRROR, "messidor-2/preprocess")]
)
def test_both_schemas(tmp_path, header, folder):
    collection = read(write_data_set(tmp_path, header, folder))
    assert {record.image.name: record.severity for record in collection.records} == {
        file: n % 5 for n, file in enumerate(FILES)
    }
    assert collection.problems == []
    assert len(collection.grades) == 5


@pytest.mark.parametrize("name", [str.lower, str.upper, lambda file: file[:-4], lambda file: file[:-3] + "tif"])
def test_names_that_differ_in_case_or_ending(tmp_path, name):
    collection = read(write_data_set(tmp_path, name=name))
    assert len(collection.records) == len(FILES)
    assert collection.problems == []


def test_ungradable_images_are_counted(tmp_path):
    collection = read(write_data_set(tmp_path, ungradable=FILES[:3]))
    assert {record.image.name for record in collection.records} == set(FILES[3:])
    assert collection.problems == []
    assert any(note.startswith("3 image(s) that the graders called ungradable") for note in collection.notes)


def test_images_that_the_mirror_does_not_name(tmp_path):
    write_data_set(tmp_path)
    write_image(tmp_path / "IMAGES" / "IM000999.JPG")
    collection = read(tmp_path)
    assert len(collection.records) == len(FILES)
    assert "1 image file(s) that no table names are left out" in collection.notes


def test_pairs_are_groups(tmp_path):
    write_pairs(write_data_set(tmp_path))
    collection = read(tmp_path)
    records = records_by_name(collection)
    assert records[PNG[0]].group == records[PNG[1]].group
    assert records[JPG[2]].group == records[JPG[3]].group
    assert len({record.group for record in records.values()}) == 20
    assert collection.notes == []


def test_an_eye_in_two_pairs_joins_them(tmp_path):
    write_data_set(tmp_path)
    write_text(
        tmp_path / "messidor-2.csv",
        "left;right",
        f"{PNG[0]};{PNG[1]}",
        f"{PNG[2]};{PNG[1]}",
        f"{PNG[3]};",
        f";{PNG[5]}",
    )
    records = records_by_name(read(tmp_path))
    assert records[PNG[0]].group == records[PNG[1]].group == records[PNG[2]].group
    assert records[PNG[3]].group not in (None, records[PNG[0]].group)
    assert records[PNG[5]].group not in (None, records[PNG[0]].group, records[PNG[3]].group)
    assert records[PNG[4]].group is None


def test_without_pairs_there_is_a_note(tmp_path):
    collection = read(write_data_set(tmp_path))
    assert {record.group for record in collection.records} == {None}
    assert any("messidor-2.csv" in note for note in collection.notes)


def test_a_gradable_image_without_a_grade_is_ungraded(tmp_path):
    write_data_set(tmp_path)
    text = (tmp_path / "messidor_data.csv").read_text()
    (tmp_path / "messidor_data.csv").write_text(text.replace(f"{FILES[1]},1,", f"{FILES[1]},,"))
    collection = read(tmp_path)
    assert records_by_name(collection)[FILES[1]].severity is None
    assert collection.problems == []


def test_bad_rows(tmp_path):
    write_data_set(tmp_path)
    (tmp_path / "IMAGES" / FILES[0]).unlink()
    text = (tmp_path / "messidor_data.csv").read_text()
    (tmp_path / "messidor_data.csv").write_text(text.replace(f"{FILES[1]},1,", f"{FILES[1]},6,"))
    assert problems_of(read(tmp_path)) == {FILES[0]: ProblemKind.MISSING, FILES[1]: ProblemKind.GRADE}


def test_wrong_layout(tmp_path):
    write_pairs(tmp_path)
    with pytest.raises(InputError, match=r"no 'messidor_data\.csv' in it; --root must hold .*google-brain"):
        read(tmp_path)
    write_text(tmp_path / "messidor_data.csv", ORIGINAL, "a,1,0,1")
    with pytest.raises(InputError, match="no folder 'IMAGES'"):
        read(tmp_path)
    write_data_set(tmp_path, "image,grade,adjudicated_dme,adjudicated_gradable")
    with pytest.raises(InputError, match="expected the columns image_id, adjudicated_dr_grade or id_code, diagnosis;"):
        read(tmp_path)


def test_command_line(tmp_path, capsys):
    write_pairs(write_data_set(tmp_path / "messidor", ungradable=FILES[-1:]))
    items = by_name(run_datalist("messidor-2", tmp_path / "messidor", tmp_path / "messidor.json"))
    assert len(items) == len(FILES) - 1
    for left, right in zip(FILES[:-2:2], FILES[1:-2:2]):
        assert items[left][0] == items[right][0]
        assert items[left][1]["group"] == items[right][1]["group"]
    assert "1 image(s) that the graders called ungradable" in capsys.readouterr().out
