# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monai_semise.apps.compare.data_digest import data_digest, file_states
from monai_semise.utils import InputError


@pytest.fixture
def content(tmp_path):
    """An image with a mask, one with a mask of two structures of which one is absent, and a series."""
    for name in ("a.png", "b.png", "m.png", "n.png"):
        (tmp_path / name).write_text(name)
    (tmp_path / "series").mkdir()
    for name in ("1.dcm", "2.dcm"):
        (tmp_path / "series" / name).write_text(name)
    at = tmp_path.joinpath
    return {
        "grades": ["none", "some"],
        "training": [
            {"image": str(at("a.png")), "mask": str(at("m.png")), "severity": 0},
            {"image": str(at("b.png")), "mask": [None, str(at("n.png"))], "severity": 1},
        ],
        "test": [{"image": str(at("series")), "severity": 1}],
    }


def digest(content):
    return data_digest(content, file_states({name: content[name] for name in ("training", "test")}))


@pytest.mark.parametrize("name", ["a.png", "m.png", "n.png", "series/2.dcm"])
def test_it_tells_of_every_changed_file(content, tmp_path, name):
    before = digest(content)
    assert digest(content) == before
    file = tmp_path / name
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1000))
    moved = digest(content)
    file.write_text("longer than before")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len({before, moved, digest(content)}) == 3


def test_it_tells_of_a_slice_more(content, tmp_path):
    before = digest(content)
    (tmp_path / "series" / ".DS_Store").touch()
    assert digest(content) == before
    (tmp_path / "series" / "3.dcm").touch()
    assert digest(content) != before


def test_it_tells_of_grades(content):
    before = digest(content)
    content["training"][0]["severity"] = 1
    assert digest(content) != before


def test_it_is_the_same_however_a_path_is_written(content, tmp_path):
    before = digest(content)
    (tmp_path / "link").symlink_to(tmp_path)
    content["training"][0]["image"] = str(tmp_path / "series" / ".." / "a.png")
    content["test"][0]["image"] = str(tmp_path / "link" / "series")
    assert digest(content) == before


def test_a_file_that_is_gone(content):
    Path(content["training"][0]["mask"]).unlink()
    with pytest.raises(InputError, match=r"m\.png: cannot be read \(No such file"):
        digest(content)
