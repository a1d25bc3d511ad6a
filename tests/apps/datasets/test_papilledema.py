# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections import Counter

import pytest

from monai_semise.apps.datasets import Papilledema
from monai_semise.utils import InputError
from tests.apps.datasets.files import run_datalist, write_image

FOLDERS = ("Normal", "Papilledema", "Pseudopapilledema")


@pytest.fixture
def make(tmp_path):
    def make(counts=(4, 3, 2), inside="."):
        root = tmp_path / "data"
        for folder, count in zip(FOLDERS, counts):
            for n in range(count):
                write_image(root / inside / folder / f"{folder}{n}{('.jpg', '.jpeg', '.png', '.PNG')[n % 4]}")
        return root

    return make


@pytest.mark.parametrize("inside", [".", "archive"])
def test_severity_is_not_the_alphabetical_order(make, tmp_path, inside):
    collection = Papilledema().read(make(inside=inside), tmp_path / "work")
    assert list(collection.grades) == ["Normal", "Pseudopapilledema", "Papilledema"]
    folders = [(record.image.parent.name, record.severity) for record in collection.records]
    assert Counter(folders) == {("Normal", 0): 4, ("Pseudopapilledema", 1): 2, ("Papilledema", 2): 3}
    assert not collection.problems
    assert all(record.group is None and record.split is None for record in collection.records)
    assert any("no patient ids" in note for note in collection.notes)


def test_only_images_are_taken(make, tmp_path):
    root = make()
    (root / "Normal" / "Thumbs.db").touch()
    (root / "Normal" / ".hidden.png").touch()
    assert len(Papilledema().read(root, tmp_path / "work").records) == 9


def test_a_missing_folder_and_a_file_as_root(make, tmp_path):
    root = make()
    for image in (root / "Papilledema").iterdir():
        image.unlink()
    (root / "Papilledema").rmdir()
    with pytest.raises(InputError, match=r"Papilledema: no such folder.*found Normal, Pseudopapilledema"):
        Papilledema().read(root, tmp_path / "work")
    with pytest.raises(InputError, match="no such folder"):
        Papilledema().read(root / "Normal" / "Normal0.jpg", tmp_path / "work")


def test_command_line_draws_70_15_15(make, tmp_path, capsys):
    datalist = run_datalist("papilledema", make((60, 20, 20)), tmp_path / "out.json")
    sizes = {section: len(datalist[section]) for section in ("training", "validation", "test", "unlabelled")}
    assert sizes == {"training": 70, "validation": 15, "test": 15, "unlabelled": 0}
    for item in datalist["training"] + datalist["validation"] + datalist["test"]:
        assert item["severity"] == datalist["grades"].index(item["image"].split("/")[-2])
    assert "no patient ids" in capsys.readouterr().out
