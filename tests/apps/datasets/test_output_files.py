# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from monai_semise.apps.datasets.output_files import OutputFiles
from monai_semise.data.collection import Problem, ProblemKind
from monai_semise.utils import InputError

DATALIST = {"training": [{"image": "a.png"}]}


def tree(folder):
    """Content of every file below a folder, hidden ones too, and its empty folders."""
    paths = [path for path in folder.rglob("*") if path.is_file() or not any(path.iterdir())]
    return {path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else None for path in paths}


def run(path, made=None, problems=(), datalist=DATALIST, earlier_folder=None, fail=False):
    """A run that makes files with this content."""
    with OutputFiles.open(path, earlier_folder) as output:
        for name, content in (made or {}).items():
            output.work.mkdir(parents=True, exist_ok=True)
            (output.work / name).write_text(content)
        output.check_folder()
        if fail:
            raise KeyboardInterrupt
        output.write(datalist, problems)


def test_all_files_of_a_run(tmp_path):
    run(
        tmp_path / "new" / "d.json",
        {"m.png": "mask"},
        [Problem(ProblemKind.BLACK, Path("/x/b.png"), "every pixel is 0")],
    )
    found = tree(tmp_path / "new")
    assert found.keys() == {"d.json", "d_files/m.png", "d_problems.csv"}
    assert found["d_files/m.png"] == "mask"
    assert found["d_problems.csv"] == "image,problem,detail\n/x/b.png,black image,every pixel is 0\n"
    assert (tmp_path / "new" / "d_files").stat().st_mode & 0o777 == 0o777 & ~current_umask()


def current_umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_the_next_run_replaces_them(tmp_path):
    path = tmp_path / "d.json"
    run(path, {"m.png": "old", "n.png": "old"}, [Problem(ProblemKind.BLACK, Path("b.png"), "")])
    run(path, {"m.png": "new"}, earlier_folder="d_files")
    assert tree(tmp_path).keys() == {"d.json", "d_files/m.png"}
    assert (tmp_path / "d_files" / "m.png").read_text() == "new"
    run(path, earlier_folder="d_files")
    assert tree(tmp_path).keys() == {"d.json"}


@pytest.mark.parametrize("fail", ["before", "datalist", "problems"])
@pytest.mark.parametrize("parents", [".", "new/folder"])
@pytest.mark.parametrize("made", [{"m.png": "new"}, {}])
def test_of_a_run_that_fails_nothing_is_left(tmp_path, fail, parents, made):
    path = tmp_path / parents / "d.json"
    problems = [object()] if fail == "problems" else []
    datalist = {"training": [], "source": object()} if fail == "datalist" else DATALIST
    with pytest.raises((KeyboardInterrupt, TypeError, AttributeError)):
        run(path, made, problems, datalist, fail=fail == "before")
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("fail", ["before", "datalist", "problems"])
@pytest.mark.parametrize("made", [{"m.png": "new"}, {}])
def test_a_run_that_fails_leaves_the_earlier_files(tmp_path, fail, made):
    path = tmp_path / "d.json"
    run(path, {"m.png": "old"}, [Problem(ProblemKind.BLACK, Path("b.png"), "")])
    before = tree(tmp_path)
    problems = [object()] if fail == "problems" else []
    datalist = {"training": [], "source": object()} if fail == "datalist" else DATALIST
    with pytest.raises((KeyboardInterrupt, TypeError, AttributeError)):
        run(path, made, problems, datalist, "d_files", fail=fail == "before")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("earlier_folder", [None, "other_files"])
def test_a_folder_of_the_user_is_never_touched(tmp_path, earlier_folder):
    (tmp_path / "d_files").mkdir()
    (tmp_path / "d_files" / "mine.png").write_text("mine")
    with pytest.raises(InputError, match=r"^--out: .*d_files exists, and the files made for d\.json go there; move it"):
        run(tmp_path / "d.json", {"m.png": "new"}, earlier_folder=earlier_folder)
    assert tree(tmp_path) == {"d_files/mine.png": "mine"}
    with pytest.raises(TypeError):
        run(tmp_path / "d.json", {}, datalist={"training": [], "source": object()}, earlier_folder=earlier_folder)
    assert tree(tmp_path) == {"d_files/mine.png": "mine"}
    run(tmp_path / "d.json", {}, earlier_folder=earlier_folder)  # nothing is made, so it is not in the way
    assert tree(tmp_path).keys() == {"d.json", "d_files/mine.png"}


def test_paths_are_moved(tmp_path):
    with OutputFiles.open(tmp_path / "d.json", None) as output:
        made, final = output.work / "m.png", tmp_path / "d_files" / "m.png"
        problem = Problem(ProblemKind.DUPLICATE, made, f"is the same image as {made}")
        assert output.moved([{"image": str(made), "mask": [str(made), None]}, 3, made, problem]) == [
            {"image": str(final), "mask": [str(final), None]},
            3,
            final,
            Problem(ProblemKind.DUPLICATE, final, f"is the same image as {final}"),
        ]


def test_what_an_earlier_run_made_is_found_where_this_one_makes_it(tmp_path):
    with OutputFiles.open(tmp_path / "new.json", "old_files") as output:  # somebody renamed the datalist
        assert output.in_work(tmp_path / "old_files" / "a" / "m.png") == output.work / "a" / "m.png"
        assert output.in_work(tmp_path / "a.png") == tmp_path / "a.png"
    with OutputFiles.open(tmp_path / "new.json", None) as output:
        assert output.in_work(tmp_path / "new_files" / "m.png") == tmp_path / "new_files" / "m.png"


def test_names_cannot_break_the_table_of_problems(tmp_path):
    nasty = ["a\nb.png", "a\r,\"b'.png", "\x1b[31m.png", "\udcff.png", "ä b.png"]
    run(tmp_path / "d.json", problems=[Problem(ProblemKind.BLACK, Path(name), f"as {name}") for name in nasty])
    content = (tmp_path / "d_problems.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(content.splitlines()))
    assert len(rows) == 6
    assert [row[0] for row in rows[1:]] == [r"a\nb.png", "a\\r,\"b'.png", r"\x1b[31m.png", r"\udcff.png", "ä b.png"]
    assert all(row[2] == f"as {row[0]}" for row in rows[1:])


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("content")
    with pytest.raises(InputError, match=r"^out: cannot write to .*; free it, or name another folder with --out"):
        run(tmp_path / "file" / "deeper" / "d.json")
    assert tree(tmp_path) == {"file": "content"}
