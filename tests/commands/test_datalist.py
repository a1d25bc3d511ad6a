# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from monai.utils import StrEnum
from PIL import Image, PngImagePlugin

from monai_semise.__main__ import main
from monai_semise.apps.datasets import SOURCES, Source
from monai_semise.commands.datalist import summary_table
from monai_semise.data import load_datalist
from monai_semise.data.collection import Collection, Record
from tests.apps.datasets.files import pixels, run_datalist, write_dicom, write_image, write_mask, write_text
from tests.utils.limits import disk_of, ordinary_user

SECTIONS = ("training", "validation", "test", "unlabelled")


def run(name, root, out, *options):
    """Exit status of the command."""
    return main(["datalist", name, "--root", str(root), "--out", str(out), *map(str, options)])


def start(*arguments, **kwargs):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "monai_semise", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)


def make(root, patients=range(20), per_patient=2):
    """A table of patients with two images each, graded 0 to 2."""
    rows = ["image,grade,patient"]
    for n in patients:
        for k in range(per_patient):
            rows.append(f"{n:02}_{k}.png,{n % 3},p{n:02}")
            if not (root / f"{n:02}_{k}.png").exists():
                Image.fromarray(_unlike(n, k)).save(write_text(root / f"{n:02}_{k}.png", ""))
    write_text(root / "table.csv", *rows)
    return root


def _unlike(*numbers):
    """Pixels that no other numbers give, wherever the file lies."""
    return pixels("/".join(map(str, numbers)))


def add_rows(root, *rows):
    with open(root / "table.csv", "a") as stream:
        stream.writelines(f"{row}\n" for row in rows)


def names(datalist):
    """File names in each section."""
    return {section: [Path(item["image"]).name for item in datalist[section]] for section in SECTIONS}


def section_of(datalist):
    """Section of each file name; unlabelled ones belong to training."""
    return {
        name: "training" if section == "unlabelled" else section
        for section, of_section in names(datalist).items()
        for name in of_section
    }


def tree(folder):
    """Content of every file below a folder, hidden ones too, and its empty folders."""
    paths = [path for path in folder.rglob("*") if path.is_file() or not any(path.iterdir())]
    return {path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in paths}


def error_of(capsys):
    """The last line of stderr, which is the error."""
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.err.splitlines()[-1]


# ---------------------------------------------------------------- what is written and printed


def test_datalist_problems_and_summary(tmp_path, capsys):
    root = make(tmp_path / "data")
    shutil.copy(root / "03_0.png", root / "03_9.png")
    add_rows(root, "03_9.png,0,p03", "nowhere.png,1,p50", "04_0.png,7x,p04")
    assert run("csv", root, tmp_path / "d.json", "--grades", "none,mild,severe") == 1
    assert "no grade is one of --grades" in error_of(capsys)

    write_text(root / "table.csv", *(root / "table.csv").read_text().splitlines()[:-1])
    assert run("csv", root, tmp_path / "d.json", "--grades", "none,mild,severe") == 0
    content = json.loads((tmp_path / "d.json").read_text())
    assert {section: len(content[section]) for section in SECTIONS} == {
        "training": 28,
        "validation": 6,
        "test": 6,
        "unlabelled": 0,
    }
    assert content["grades"] == ["none", "mild", "severe"]
    assert content["source"]["options"]["grades"] == ["none", "mild", "severe"]
    assert content["source"]["name"] == "csv"
    assert {"image": "data/00_0.png", "severity": 0, "group": "p00"} in [i for s in SECTIONS for i in content[s]]
    load_datalist(tmp_path / "d.json", required=("training", "validation", "test"))

    assert (tmp_path / "d_problems.csv").read_text().splitlines() == [
        "image,problem,detail",
        f"{root}/nowhere.png,missing file,line 43: does not exist",
        f"{root}/03_9.png,duplicate image,is the same image as {root}/03_0.png",
    ]
    captured = capsys.readouterr()
    assert f"    {root}/03_9.png: is the same image as {root}/03_0.png\n" in captured.err
    assert "missing file: 1 image(s) left out\n" in captured.err
    table = [line.split() for line in captured.out.splitlines()[:6]]
    assert table[0] == ["images", "none", "mild", "severe", "ungraded", "patients", "masks"]
    assert table[5] == ["all", "40", "14", "14", "12", "0", "20", "0"]
    assert captured.out.splitlines()[-1] == f"Wrote {tmp_path}/d.json"
    assert "not ready" not in captured.out


def test_a_list_of_problems_is_cut_short_on_the_screen_only(tmp_path, capsys):
    root = make(tmp_path / "data")
    add_rows(root, *(f"gone{n}.png,0,p00" for n in range(13)))
    assert run("csv", root, tmp_path / "d.json") == 0
    assert capsys.readouterr().err.count("gone") == 10
    assert "    and 3 more\n" in (run("csv", root, tmp_path / "d.json"), capsys.readouterr().err)[1]
    assert (tmp_path / "d_problems.csv").read_text().count("gone") == 13


def test_an_old_table_of_problems_goes_with_them(tmp_path):
    root = make(tmp_path / "data")
    add_rows(root, "gone.png,0,p00")
    run_datalist("csv", root, tmp_path / "d.json")
    assert (tmp_path / "d_problems.csv").exists()
    make(root)
    run_datalist("csv", root, tmp_path / "d.json")
    assert not (tmp_path / "d_problems.csv").exists()


def test_not_ready_for_pretraining_is_a_note(tmp_path, capsys):
    """Masks without grades: a datalist for segmentation."""
    root = tmp_path / "data"
    mask = write_mask(root / "mask.png")
    rows = [f"{write_image(root / f'{n}.png').name},{mask.name if n % 3 else 'absent'}" for n in range(10)]
    write_text(root / "table.csv", "image,mask", *rows)
    datalist = run_datalist("csv", root, tmp_path / "d.json")
    out = capsys.readouterr().out
    assert "Note: not ready for pretraining: " in out
    assert "no training image has a severity" in out
    loaded = load_datalist(tmp_path / "d.json", graded=False, required=("training", "validation", "test"))
    assert {str(item["mask"]) for item in loaded["training"]} == {str(mask), "[None]"}
    assert datalist["structures"] == ["mask"]


def test_workers_write_the_same_file(tmp_path):
    root = make(tmp_path / "data")
    add_rows(root, "gone.png,0,p00", "00_0.png,0,p01")
    run_datalist("csv", root, tmp_path / "a" / "d.json")
    run_datalist("csv", root, tmp_path / "b" / "d.json", "--num_workers", "2")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_label_budgets_are_nested(tmp_path):
    root = make(tmp_path / "data", range(40))
    training = [
        set(names(run_datalist("csv", root, tmp_path / f"{share}.json", "--labelled", share))["training"])
        for share in ("0.1", "0.25", "1")
    ]
    assert training[0] < training[1] < training[2]
    assert [len(of_share) for of_share in training] == [6, 14, 56]
    content = json.loads((tmp_path / "0.1.json").read_text())
    assert content["source"]["labelled"] == 0.1
    assert len(content["unlabelled"]) == 50
    assert not any("severity" in item for item in content["unlabelled"])


# ---------------------------------------------------------------- the summary


def test_summary_table():
    datalist = {
        "grades": ["images", "same", "same"],  # whatever the grades are called
        "training": [
            {"image": "a", "severity": 0, "group": "p", "mask": "m"},
            {"image": "b", "severity": 2, "group": "p", "mask": [None]},
        ],
        "test": [{"image": "c", "severity": 2}, {"image": "d", "severity": -1, "mask": None}],
        "unlabelled": [{"image": "e", "group": "p"}],
    }
    table = summary_table(datalist)
    assert list(table.columns) == ["images", "images", "same", "same", "ungraded", "patients", "masks"]
    assert list(table.index) == [*SECTIONS[:3], "unlabelled", "all"]
    assert table.to_numpy().tolist() == [
        [2, 1, 0, 1, 0, 1, 2],
        [0, 0, 0, 0, 0, 0, 0],
        [2, 0, 0, 1, 1, 2, 0],
        [1, 0, 0, 0, 1, 1, 0],
        [5, 1, 0, 2, 2, 3, 2],
    ]


# ---------------------------------------------------------------- once more


def test_the_same_once_more_writes_the_same_bytes(tmp_path, monkeypatch):
    root = make(tmp_path / "data")
    shutil.copy(root / "03_0.png", root / "09_9.png")
    add_rows(root, "gone.png,0,p00", "09_9.png,0,p09")
    out = tmp_path / "out"
    run_datalist("csv", root, out / "d.json", "--labelled", "0.5")
    before = tree(out)
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(tmp_path)
    for path in (root, root / "..", "data"):
        path = path / "data" if str(path).endswith("..") else path
        run_datalist("csv", path, Path("out") / "d.json", "--labelled", "0.5")
        assert tree(out) == before
    run_datalist("csv", "link", out / "d.json", "--labelled", "0.5")
    assert section_of(json.loads((out / "d.json").read_text())) == section_of(json.loads(before["d.json"]))


def test_patients_who_join_move_nobody(tmp_path, capsys):
    root = make(tmp_path / "data")
    sections = section_of(run_datalist("csv", root, tmp_path / "d.json"))
    for count in (21, 23, 60):
        make(root, range(count))
        joined = section_of(run_datalist("csv", root, tmp_path / "d.json"))
        assert {name: joined[name] for name in sections} == sections
        sections = joined
    assert "46 of the 46 images of the earlier datalist and their patients stay" in capsys.readouterr().out
    assert list(sections.values()).count("test") == 18
    assert list(sections.values()).count("validation") == 18


def test_images_that_join_their_patient(tmp_path):
    root = make(tmp_path / "data")
    sections = section_of(run_datalist("csv", root, tmp_path / "d.json"))
    make(root, per_patient=3)
    joined = section_of(run_datalist("csv", root, tmp_path / "d.json"))
    assert all(joined[f"{n:02}_2.png"] == sections[f"{n:02}_0.png"] for n in range(20))
    assert set(sections.values()) == {"training", "validation", "test"}


def test_resplit(tmp_path):
    root = make(tmp_path / "data")
    write_text(tmp_path / "d.json", '{"training": [{"image": "data/00_0.png"}], "test": [{"image": "data/01_0.png"}]}')
    kept = section_of(run_datalist("csv", root, tmp_path / "d.json"))
    assert (kept["00_1.png"], kept["01_1.png"]) == ("training", "test")
    drawn = run_datalist("csv", root, tmp_path / "d.json", "--resplit", "--seed", "3")
    assert drawn == run_datalist("csv", root, tmp_path / "other.json", "--seed", "3")
    assert drawn == run_datalist("csv", root, tmp_path / "d.json", "--seed", "3")


@pytest.mark.parametrize("option", [("--seed", "1"), ("--test", "0.3"), ("--split", "drawn")])
def test_another_split_must_be_asked_for(tmp_path, capsys, option):
    root = make(tmp_path / "data")
    run_datalist("csv", root, tmp_path / "d.json")
    before = tree(tmp_path)
    assert run("csv", root, tmp_path / "d.json", *option) == 1
    error = error_of(capsys)
    assert f"was made with {option[0]}" in error
    assert "--resplit" in error
    assert tree(tmp_path) == before
    assert run("csv", root, tmp_path / "d.json", *option, "--resplit") == 0


def test_another_data_set_does_not_replace_a_datalist_unasked(tmp_path, capsys):
    root = make(tmp_path / "data")
    run_datalist("csv", root, tmp_path / "d.json")
    write_image(tmp_path / "folder" / "0" / "a.png")
    before = tree(tmp_path)
    assert run("folder", tmp_path / "folder", tmp_path / "d.json") == 1
    assert "was made from csv, not folder" in error_of(capsys)
    make(tmp_path / "others", range(50, 60))
    assert run("csv", tmp_path / "others", tmp_path / "d.json") == 1
    assert "none of the 40 images of the earlier datalist is in the data set" in error_of(capsys)
    shutil.rmtree(tmp_path / "others")
    assert tree(tmp_path) == before


def test_images_that_vanished(tmp_path, capsys):
    root = make(tmp_path / "data")
    sections = section_of(run_datalist("csv", root, tmp_path / "d.json"))
    make(root, range(10, 25))
    joined = section_of(run_datalist("csv", root, tmp_path / "d.json"))
    assert {name: joined[name] for name in sections if name >= "10"} == {n: s for n, s in sections.items() if n >= "10"}
    assert "20 of the 40 images of the earlier datalist" in capsys.readouterr().out


def test_data_set_and_datalist_may_move_together(tmp_path):
    root = make(tmp_path / "here" / "data")
    sections = section_of(run_datalist("csv", root, tmp_path / "here" / "d.json"))
    (tmp_path / "here").rename(tmp_path / "there")
    make(tmp_path / "there" / "data", range(30))
    joined = section_of(run_datalist("csv", tmp_path / "there" / "data", tmp_path / "there" / "d.json"))
    assert {name: joined[name] for name in sections} == sections


# ---------------------------------------------------------------- files that the source makes


def write_npz(path, count=12, same=False):
    arrays = {}
    for part, factor in (("train", 2), ("val", 1), ("test", 1)):
        images = [_unlike("same" if same and n == 1 else part, n) for n in range(count * factor)]
        if same and part == "val":
            images[2][:] = 0
        arrays |= {f"{part}_images": np.stack(images), f"{part}_labels": np.arange(count * factor)[:, None] % 5}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def test_made_files_are_replaced_whole(tmp_path):
    npz = write_npz(tmp_path / "retinamnist.npz")
    out = tmp_path / "out"
    content = run_datalist("medmnist", npz, out / "d.json")
    assert content["source"]["files"] == "d_files"
    assert all(item["image"].startswith("d_files/") for section in SECTIONS for item in content[section])
    assert {section: len(content[section]) for section in SECTIONS} == {
        "training": 24,
        "validation": 12,
        "test": 12,
        "unlabelled": 0,
    }
    before = tree(out)
    assert len(before) == 49
    run_datalist("medmnist", npz, out / "d.json")
    assert tree(out) == before
    write_npz(npz, count=10)
    run_datalist("medmnist", npz, out / "d.json")
    assert len(tree(out)) == 41


def test_made_files_are_drawn_alike_in_every_run(tmp_path):
    """They are made under another name each time, which must not matter."""
    npz = write_npz(tmp_path / "retinamnist.npz")
    drawn = [names(run_datalist("medmnist", npz, tmp_path / f"{n}.json", "--split", "drawn")) for n in range(2)]
    assert drawn[0] == drawn[1]
    assert names(run_datalist("medmnist", npz, tmp_path / "1.json", "--split", "drawn")) == drawn[0]
    (tmp_path / "1.json").rename(tmp_path / "renamed.json")
    assert names(run_datalist("medmnist", npz, tmp_path / "renamed.json", "--split", "drawn")) == drawn[0]


def test_problems_of_made_files_name_them_as_they_are_in_the_end(tmp_path, capsys):
    npz = write_npz(tmp_path / "retinamnist.npz", same=True)
    run_datalist("medmnist", npz, tmp_path / "d.json")
    listed = (tmp_path / "d_problems.csv").read_text()
    assert f"{tmp_path}/d_files/val_00002.png,black image,every pixel is 0\n" in listed
    assert f"is the same image as {tmp_path}/d_files/test_00001.png, in test" in listed
    for text in (listed, capsys.readouterr().err):
        assert ".d." not in text
    assert all(Path(line.split(",")[0]).is_file() for line in listed.splitlines()[1:])


def test_folders_of_the_user_are_never_replaced(tmp_path, capsys):
    npz = write_npz(tmp_path / "d_files" / "retinamnist.npz")
    before = tree(tmp_path)
    assert run("medmnist", npz, tmp_path / "d.json") == 1
    assert "d_files exists, and the files made for d.json go there; move it" in error_of(capsys)
    assert run("medmnist", npz, tmp_path / "d.json", "--resplit") == 1
    assert tree(tmp_path) == before


# ---------------------------------------------------------------- runs that fail


@pytest.mark.parametrize("out", ["d.json", "new/folder/d.json"])
def test_strict_leaves_nothing_behind(tmp_path, capsys, out):
    npz = write_npz(tmp_path / "retinamnist.npz", same=True)
    before = tree(tmp_path)
    assert run("medmnist", npz, tmp_path / out, "--strict") == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == f"Error: 3 image(s) of {npz} have a problem (--strict), nothing was written"
    assert "val_00002.png: every pixel is 0" in captured.err
    assert captured.out == ""
    assert tree(tmp_path) == before


def test_strict_leaves_the_earlier_files(tmp_path):
    npz = write_npz(tmp_path / "retinamnist.npz")
    assert run("medmnist", npz, tmp_path / "d.json", "--strict") == 0
    before = tree(tmp_path)
    write_npz(npz, same=True)
    assert run("medmnist", npz, tmp_path / "d.json", "--strict") == 1
    assert tree(tmp_path).keys() == before.keys()
    assert {name: content for name, content in tree(tmp_path).items() if name != npz.name} == {
        name: content for name, content in before.items() if name != npz.name
    }


def test_no_usable_image(tmp_path, capsys):
    root = tmp_path / "data"
    write_text(root / "table.csv", "image,grade", "a.png,0")
    assert run("csv", root, tmp_path / "new" / "d.json") == 1
    assert f"Error: {root}: no usable image was found, nothing was written" in error_of(capsys)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--root", "nowhere"), r"--root: .*/nowhere does not exist"),
        (("--out", "d.csv"), r"--out: .*/d\.csv must be a file that ends in \.json"),
        (("--out", "folder.json"), r"--out: .*/folder\.json must be a file"),
        (("--out", "data/table.csv/d.json"), r"out: cannot write to .*; free it, or name another folder with --out"),
        (("--test", "-0.1"), r"test: -0\.1 is not a share in \[0, 1\)"),
        (("--validation", "20"), r"validation: 20\.0 is not a share"),
        (("--test", "nan"), r"test: nan is not a share"),
        (("--test", "0.5", "--validation", "0.6"), r"leave nothing for training"),
        (("--labelled", "0"), r"labelled: 0\.0 is not a share in \(0, 1\]"),
        (("--num_workers", "-1"), r"--num_workers: -1 is negative"),
        (("--grade-column", "x"), r"no column 'x'"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, monkeypatch, options, message):
    make(tmp_path / "data", range(3))
    (tmp_path / "folder.json").mkdir()
    before = tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    arguments = {"--root": "data", "--out": "new/d.json", **dict(zip(options[::2], options[1::2]))}
    assert main(["datalist", "csv", *(text for pair in arguments.items() for text in pair)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1  # before an image is read
    assert re.search(f"^Error: .*{message}", captured.err)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("content", ["{}", "[1]", "no JSON", '{"loss": {"_target_": "SemiseLoss"}}'])
def test_any_other_file_is_only_replaced_when_asked(tmp_path, capsys, content):
    root = make(tmp_path / "data", range(6))
    out = write_text(tmp_path / "config.json", content)
    assert run("csv", root, out) == 1
    assert "exists and is not a datalist" in error_of(capsys)
    assert out.read_text().strip() == content
    assert run("csv", root, out, "--resplit") == 0


@pytest.mark.parametrize("n_bytes", [50, 2000])
def test_full_disk(tmp_path, capsys, n_bytes):
    """While the source makes its files, and when the datalist is written; nothing changes."""
    npz = write_npz(tmp_path / "retinamnist.npz")
    assert run("medmnist", npz, tmp_path / "d.json") == 0
    write_npz(npz, count=13)
    before = tree(tmp_path)
    capsys.readouterr()
    with disk_of(n_bytes):
        status = run("medmnist", npz, tmp_path / "d.json")
    assert status == 1
    assert "Error: [Errno 27] File too large" in error_of(capsys)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("what", ["out", "root"])
def test_folders_without_permission(capsys, what):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        root = make(Path(folder) / "data", range(6))
        (Path(folder) / "out").mkdir(mode=0o755)
        os.chmod(Path(folder) / "out", 0o555 if what == "out" else 0o777)
        os.chmod(root, 0o000 if what == "root" else 0o755)
        with ordinary_user():
            assert run("csv", root, Path(folder) / "out" / "d.json") == 1
        assert "Permission denied" in error_of(capsys)
        assert os.listdir(Path(folder) / "out") == []
        os.chmod(root, 0o755)


def test_interrupted_while_the_source_reads(tmp_path, capsys, monkeypatch):
    class Interrupted(Strange):
        def read(self, root, work):
            write_image(work / "a.png")
            raise KeyboardInterrupt

    monkeypatch.setitem(SOURCES, "strange", Interrupted)
    assert run("strange", tmp_path, tmp_path / "new" / "d.json") == 130
    assert capsys.readouterr().err == "Stopped.\n"
    assert tree(tmp_path) == {}


def test_debugging_shows_the_traceback(tmp_path, monkeypatch):
    monkeypatch.setenv("MONAI_DEBUG", "1")
    with pytest.raises(ValueError, match="does not exist"):
        run("csv", tmp_path / "nowhere", tmp_path / "d.json")


# ---------------------------------------------------------------- file names of all kinds

NASTY = ["a\nb.png", "\x1b[31mred\x1b[0m.png", "\udcff\udcfe.png", "Größe 3 µm.png", "a,b;'c'.png", "\u202egnp.png"]


def test_file_names_of_all_kinds(tmp_path, capsys):
    """They are read, and kept in the datalist as they are; on the screen and in the table of problems, what cannot be
    printed is escaped."""
    root = tmp_path / "data"
    write_image(root / "0" / "ok.png")
    write_image(root / "1" / "ok.png")
    for n, name in enumerate(NASTY):
        Image.fromarray(_unlike(n)).save(root / "0" / f"ok {name}")
        (root / "1" / name).write_bytes(b"broken" * n)
        shutil.copy(root / "0" / f"ok {name}", root / "0" / f"z{n}.png")
    datalist = run_datalist("folder", root, tmp_path / "d.json", "--validation", "0", "--test", "0")
    assert sorted(names(datalist)["training"]) == sorted([*(f"ok {name}" for name in NASTY), "ok.png", "ok.png"])
    loaded = load_datalist(tmp_path / "d.json")
    assert all(os.path.isfile(item["image"]) for item in loaded["training"])

    captured = capsys.readouterr()
    lines = (tmp_path / "d_problems.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 2 * len(NASTY)
    progress = [line for line in captured.err.splitlines() if "image/s]" in line]
    for line in (*lines, *captured.out.splitlines(), *(set(captured.err.splitlines()) - set(progress))):
        assert line.isprintable()
    assert r"1/a\nb.png" in captured.err
    assert r"1/\udcff\udcfe.png" in captured.err
    assert r"0/ok \x1b[31mred\x1b[0m.png" in captured.err


def test_an_error_with_such_a_name_is_one_line(tmp_path, capsys):
    assert run("csv", tmp_path / "a\nb\x1b[31m\udcff", tmp_path / "d.json") == 1
    error = error_of(capsys)
    assert r"a\nb\x1b[31m\udcff does not exist" in error
    assert error.isprintable()


# ---------------------------------------------------------------- privacy

SECRETS = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "HOSP-4711-XQ",
    "PatientBirthDate": "19510203",
    "StudyDate": "20200304",
    "InstitutionName": "Charite Ward 9",
    "AccessionNumber": "ACC778899",
    "ReferringPhysicianName": "Quincy^Jack",
    "PatientComments": "brother of Egon",
}
WORDS = ("Mustermann", "Erika", "4711", "19510203", "20200304", "Charite", "778899", "Quincy", "Egon")


def break_header(path):
    """Values that pydicom warns of, and quotes: a birth date that is none, a number that is none."""
    dataset = pydicom.dcmread(path)
    with pydicom.config.disable_value_validation():
        dataset.PatientBirthDate = "Mustermann19510203"
        dataset.PatientAge = "Erika"
        dataset.add_new("InstanceNumber", "IS", "1")
        dataset.save_as(path)
    path.write_bytes(path.read_bytes().replace(b"IS\x02\x001 ", b"IS\x02\x00Eg"))


def write_private_files(root):
    """DICOM files of six patients in a table and in folders of grades, good and bad ones, a PNG and a NIfTI file."""
    rows = []
    for n in range(12):
        header = {**SECRETS, "PatientID": f"HOSP-4711-{n // 2}"}
        rows.append(f"{n % 2}/{write_dicom(root / str(n % 2) / f'{n}.dcm', **header).name},{n % 2}")
    good = root / "0" / "0.dcm"
    shutil.copy(good, root / "0" / "copy.dcm")
    shutil.copy(good, root / "1" / "conflict.dcm")
    shutil.copy(root / "1" / "1.dcm", root / "1" / "COPY.dcm")
    content = (root / "1" / "3.dcm").read_bytes()
    for part in (0.05, 0.3, 0.6, 0.9):
        (root / "1" / f"cut {part}.dcm").write_bytes(content[: int(len(content) * part)])
    for name in ("5.dcm", "7.dcm"):
        break_header(root / "1" / name)
    (root / "0" / "text.dcm").write_text("Mustermann, Erika, 19510203")
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "Mustermann, Erika")
    text.add_itxt("Author", "Quincy", zip=True)
    Image.fromarray(_unlike("text")).save(root / "0" / "text.png", pnginfo=text)
    exif = Image.Exif()
    exif[0x010E] = "Mustermann Erika 19510203"
    Image.fromarray(_unlike("exif")).save(root / "0" / "exif.jpg", exif=exif)
    volume = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(5, 4, 3), np.eye(4))
    volume.header["descrip"] = b"Mustermann Erika 20200304"
    volume.header["intent_name"] = b"Quincy"
    nib.save(volume, root / "1" / "volume.nii.gz")
    files = sorted(path for path in root.rglob("*") if path.is_file())
    write_text(root / "table.csv", "image,grade", *(f"{path.relative_to(root)},{path.parent.name}" for path in files))


@pytest.mark.parametrize("options", [(), ("--strict",), ("--num_workers", "2"), ("--labelled", "0.5")])
@pytest.mark.parametrize("name", ["csv", "folder"])
def test_nothing_of_a_header_reaches_any_output(tmp_path, capfd, recwarn, caplog, name, options):
    root, out = tmp_path / "data", tmp_path / "out"
    write_private_files(root)
    if name == "folder":
        (root / "table.csv").unlink()
    recwarn.clear()
    for _ in range(2):
        assert run(name, root, out / "d.json", *options) == (1 if options == ("--strict",) else 0)
    captured = capfd.readouterr()
    told = [captured.out, captured.err, caplog.text, *(str(warning.message) for warning in recwarn)]
    told += [f"{name} {content}" for name, content in tree(tmp_path / "out").items()] if out.exists() else []
    assert "unreadable file" in captured.err
    assert "duplicate image" in captured.err
    for text in told:
        assert not [word for word in WORDS if word in text]
    if options != ("--strict",):
        items = [item for section in SECTIONS for item in json.loads((out / "d.json").read_text())[section]]
        assert {item["group"] for item in items if "group" in item} >= {"patient-00001", "patient-00002"}


# ---------------------------------------------------------------- how it was made


class Order(StrEnum):
    UP = "up"


class Strange(Source):
    """Images of a folder, 100 % of them.

    Grade order: 50% each, %(default)s or %s.
    """

    name = "strange"
    title = "100 % strange (%s, %(prog)s)"
    grades = ("0 %", "100 %s")

    def __init__(self, **options):
        pass

    @classmethod
    def add_arguments(cls, parser):
        parser.add_argument("--table", type=Path)
        parser.add_argument("--far", type=Path)
        parser.add_argument("--pattern", default="/^p([0-9]+)/")
        parser.add_argument("--order", type=Order, default=Order.UP)
        parser.add_argument("--parts", type=lambda text: tuple(map(Path, text.split(","))), default=(1, (2.5, None)))
        parser.add_argument("--pixels", type=lambda text: {int(n) for n in text}, help="of 100 %% of the images")

    def read(self, root, work):
        return Collection("strange", self.grades, [Record(path, 0) for path in sorted(root.glob("*.png"))])


def test_options_of_any_type_are_noted_without_places(tmp_path, monkeypatch):
    monkeypatch.setitem(SOURCES, "strange", Strange)
    root = make(tmp_path / "home" / "erika" / "data", range(6))
    (tmp_path / "far.txt").touch()
    options = ["--table", str(root / "table.csv"), "--far", str(tmp_path / "far.txt"), "--pixels", "12"]
    content = run_datalist("strange", root, tmp_path / "out" / "d.json", *options)
    assert content["source"] == {
        "name": "strange",
        "validation": 0.15,
        "test": 0.15,
        "split": "official",
        "labelled": 1.0,
        "seed": 0,
        "options": {
            "table": "table.csv",
            "far": "far.txt",
            "pattern": "/^p([0-9]+)/",
            "order": "up",
            "parts": [1, [2.5, None]],
            "pixels": "{1, 2}",
        },
    }
    content = run_datalist("strange", root, tmp_path / "home" / "d.json", "--parts", f"{root},a/b")
    assert content["source"]["options"]["parts"] == [".", "a/b"]
    assert "erika" not in json.dumps(content["source"])
    assert str(tmp_path) not in json.dumps(content)


# ---------------------------------------------------------------- the command line itself


@pytest.mark.parametrize("arguments", [[], ["datalist"], *(["datalist", name] for name in SOURCES)])
def test_help_of_every_level(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: python -m monai_semise")
    if len(arguments) == 2:
        assert all(f"\n{paragraph}:" in out for paragraph in ("Layout", "Grade order", "Group"))
        assert "--labelled" in out


def test_help_of_a_source_with_percent_signs(monkeypatch, capsys):
    monkeypatch.setitem(SOURCES, "strange", Strange)
    for arguments in (["datalist", "--help"], ["datalist", "strange", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
    assert "50% each" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [[], ["datalists"], ["datalist"], ["datalist", "idridd"], ["datalist", "csv"], ["datalist", "csv", "--root", "x"],
     ["datalist", "csv", "--root", "x", "--out", "d.json", "--labelled", "few"],
     ["datalist", "csv", "--root", "x", "--out", "d.json", "--split", "offical"]],
)  # fmt: skip
def test_what_cannot_be_parsed(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


# ---------------------------------------------------------------- a process of its own


MANY = 700


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A data set that takes a while."""
    return write_npz(tmp_path_factory.mktemp("many") / "retinamnist.npz", count=MANY)


def wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


def test_command_in_a_process(tmp_path):
    """On a terminal that cannot show the names of the grades."""
    make(tmp_path / "data", range(6))
    options = ("--root", "data", "--out", "d.json", "--grades", "größer,最大,x")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = start("datalist", "csv", *options, cwd=tmp_path, env=environment)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert r"gr\xf6\xdfer" in out
    assert out.splitlines()[-1] == f"Wrote {tmp_path}/d.json"
    assert load_datalist(tmp_path / "d.json")
    assert "Traceback" not in err


def test_interrupted(tmp_path, many):
    """By Ctrl-C, which goes to the processes that read the images, too."""
    options = ("--root", many, "--out", tmp_path / "new" / "d.json", "--num_workers", "2")
    heeded = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a job in the background is born deaf to it
    process = start("datalist", "medmnist", *options, start_new_session=True, preexec_fn=heeded)
    shown = ""
    while shown.count("Checking images") < 3:  # among the checks: the bar has moved twice
        read = process.stderr.read(1)
        assert read, shown
        shown += read
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "Stopped."
    assert "Traceback" not in err
    assert not (tmp_path / "new").exists()


def test_killed(tmp_path, many):
    """What is left is a hidden folder, and all that was there before."""
    run_datalist("medmnist", write_npz(tmp_path / "retinamnist.npz"), tmp_path / "out" / "d.json")
    before = tree(tmp_path / "out")
    process = start("datalist", "medmnist", "--root", many, "--out", tmp_path / "out" / "d.json", "--resplit")
    wait_for(lambda: len(list(tmp_path.glob("out/.d.*/files/*.png"))) > 100, process)
    process.kill()
    process.communicate(timeout=60)
    (hidden,) = tmp_path.glob("out/.d.*")
    left = {name: content for name, content in tree(tmp_path / "out").items() if not name.startswith(hidden.name)}
    assert left == before
    run_datalist("medmnist", tmp_path / "retinamnist.npz", tmp_path / "out" / "d.json")
    assert tree(tmp_path / "out").items() >= before.items()
