# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import pytest

from monai_semise.apps.datasets.layout import find, note_unlisted, require
from monai_semise.data.collection import Collection
from monai_semise.utils import InputError


@pytest.fixture
def tree(tmp_path):
    for name in ("b/table.csv", "a/x/y/table.csv", "a/x/y/z/table.csv", ".hidden/table.csv", "Table.CSV/inside"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_find_gives_the_nearest_first_and_looks_three_folders_down(tree):
    found = [path.relative_to(tree).as_posix() for path in find(tree, r"table\.csv")]
    assert found == ["Table.CSV", "b/table.csv", "a/x/y/table.csv"]


def test_find_does_not_follow_the_order_on_disk(tmp_path):
    names = ["m", "c", "x", "a", "q", "e", "z", "b", "k", "f"]
    for name in names:
        (tmp_path / name / "table.csv").mkdir(parents=True)
    assert [path.parent.name for path in find(tmp_path, r"table\.csv")] == sorted(names)


def test_find_fits_whole_names(tree):
    assert list(find(tree, "able|tabl")) == []


def test_require_takes_a_name_literally(tmp_path):
    (tmp_path / "aXcsv").touch()
    with pytest.raises(InputError, match=r"no 'a.csv' in it; --root must hold the table; found aXcsv$"):
        require(tmp_path, "a.csv", "the table")
    (tmp_path / "a.csv").touch()
    assert require(tmp_path, "a.csv", "the table") == tmp_path / "a.csv"


def test_require_in_an_empty_folder_and_in_a_file(tmp_path):
    with pytest.raises(InputError, match="found nothing"):
        require(tmp_path, "a.csv", "the table")
    (tmp_path / "a.csv").touch()
    with pytest.raises(InputError, match="no such folder"):
        require(tmp_path / "a.csv", "a.csv", "the table")


def test_note_unlisted_counts():
    collection = Collection("x", ())
    note_unlisted(collection, [Path("a"), Path("b"), Path("c")], {Path("b"), Path("d")})
    assert collection.notes == ["2 image file(s) that no table names are left out"]
    note_unlisted(collection, [Path("b")], {Path("b")})
    assert len(collection.notes) == 1
