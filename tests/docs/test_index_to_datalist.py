# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import runpy
import sys

import numpy as np
import pytest
from PIL import Image

from monai_semise.data import load_datalist, read_grade_names
from tests.bundles.harness import ROOT

SCRIPT = ROOT / "docs" / "scripts" / "index_to_datalist.py"
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture
def convert(monkeypatch, capsys):
    """Run the script as a command, in this process; returns what it printed to stderr and what it exited with."""

    def run(index, out, *options):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(index), "--out", str(out), *options])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
            code = 0
        except SystemExit as stop:
            code = stop.code
        return capsys.readouterr().err, code

    return run


def write_index(folder, rows):
    (folder / "images").mkdir()
    columns = ("image", "severity", "grade", "mask", "group", "split")
    with open(folder / "index.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for row in rows:
            Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(folder / row["image"])
            writer.writerow(row)
    return folder / "index.csv"


def row(n, severity, group=None, split=""):
    names = {"0": "none", "1": "some", "2": "much", "": ""}
    image = f"images/{n:03d}.png"
    return {"image": image, "severity": severity, "grade": names[severity], "group": group or image, "split": split}


@pytest.fixture
def index(tmp_path):
    rows = [row(n, str(n % 3), group=f"patient-{n // 2}") for n in range(120)]
    return write_index(tmp_path, [*rows, row(120, ""), row(121, "")])


def test_every_image_once_groups_whole_and_grades_shared(index, tmp_path, convert):
    assert convert(index, tmp_path / "list.json") == ("", 0)
    datalist = load_datalist(tmp_path / "list.json")
    assert sum(len(section) for section in datalist.values()) == 122
    assert len(datalist["unlabelled"]) == 2
    groups = [{item["group"] for item in datalist[name]} for name in ("training", "validation", "test")]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    for name in ("training", "validation", "test"):
        assert {item["severity"] for item in datalist[name]} == {0, 1, 2}
    assert read_grade_names(tmp_path / "list.json") == ["none", "some", "much"]


def test_same_seed_same_split(index, tmp_path, convert):
    for name in ("a.json", "b.json"):
        convert(index, tmp_path / name, "--seed", "3")
    convert(index, tmp_path / "c.json", "--seed", "4")
    texts = [(tmp_path / name).read_text() for name in ("a.json", "b.json", "c.json")]
    assert texts[0] == texts[1] != texts[2]


def test_official_split_is_kept_and_training_twins_of_test_images_are_left_out(tmp_path, convert):
    rows = [row(n, str(n % 3), split="train") for n in range(30)]
    rows += [row(30 + n, str(n % 3), split="test") for n in range(6)]
    rows[0]["group"] = rows[30]["group"]
    message, code = convert(write_index(tmp_path, rows), tmp_path / "list.json")
    assert code == 0
    datalist = load_datalist(tmp_path / "list.json")
    assert len(datalist["test"]) == 6
    assert sum(len(section) for section in datalist.values()) == 35
    assert "left out 1 training image" in message


@pytest.mark.parametrize("severity", ["-1", "1.5", "mild"])
def test_bad_severity_is_named(tmp_path, severity, convert):
    file = write_index(tmp_path, [row(0, "0"), row(1, "1")])
    file.write_text(file.read_text().replace("001.png,1,", f"001.png,{severity},"))
    _, message = convert(file, tmp_path / "list.json")
    assert "row 3, severity" in message
    assert not (tmp_path / "list.json").exists()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real images beside the checkout")
@pytest.mark.parametrize(("name", "n_test"), [("idrid", 103), ("busi", None), ("ph2", None)])
def test_real_sets(tmp_path, name, n_test, convert):
    _, code = convert(SHARED / name / "index.csv", tmp_path / "list.json")
    assert code == 0
    datalist = load_datalist(tmp_path / "list.json", required=("training", "validation", "test"))
    assert n_test is None or len(datalist["test"]) == n_test
