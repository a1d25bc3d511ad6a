# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.apps.datasets.earlier_datalist import EarlierDatalist
from monai_semise.utils import InputError

SOURCE = {"name": "idrid", "validation": 0.1, "test": 0.2, "split": "official", "seed": 3, "labelled": 0.5}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_sections_of_images(tmp_path):
    content = {
        "training": [{"image": "a.png", "severity": 0}],
        "validation": [],
        "test": [{"image": "/data/b.png"}],
        "unlabelled": [{"image": "sub/c.png"}],
        "source": SOURCE,
    }
    earlier = EarlierDatalist.read(write(tmp_path / "d.json", content))
    assert earlier.sections == {
        tmp_path / "a.png": "training",
        Path("/data/b.png"): "test",
        tmp_path / "sub/c.png": "training",
    }
    assert earlier.source == SOURCE


def test_a_datalist_of_somebody_else(tmp_path):
    """Sections that are missing are empty, as when it is loaded; nothing is known of how it was made."""
    earlier = EarlierDatalist.read(write(tmp_path / "d.json", {"training": [{"image": "a.png", "age": 3}]}))
    assert earlier.sections == {tmp_path / "a.png": "training"}
    assert earlier.folder is None
    earlier.check_made_like({**SOURCE, "seed": 9})


def test_no_file(tmp_path):
    assert EarlierDatalist.read(tmp_path / "d.json") is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", "{}", '{"images": []}', '{"training": 3}', '{"training": [3]}', '{"training": [{}]}',
     '{"training": [{"image": null}]}', '{"training": ["training"]}', "[" * 100_000],
)  # fmt: skip
def test_anything_but_a_datalist(tmp_path, content):
    path = write(tmp_path / "d.json", content)
    with pytest.raises(
        InputError, match=r"^--out: .*d\.json exists and is not a datalist .*; give --resplit"
    ) as caught:
        EarlierDatalist.read(path)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "d.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not a datalist"):
        EarlierDatalist.read(tmp_path / "d.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["image", "name", "files"]), inner),
    max_leaves=6,
)


@given(content=st.fixed_dictionaries({}, optional={"training": JSON, "test": JSON, "source": JSON}))
def test_fuzz(tmp_path, content):
    try:
        earlier = EarlierDatalist.read(write(tmp_path / "d.json", content))
    except InputError:
        return
    assert earlier.folder is None or (tmp_path / earlier.folder).parent == tmp_path
    with suppress(InputError):
        earlier.check_made_like({"name": "idrid", **dict.fromkeys(("validation", "test", "split", "seed"), 0)})


@pytest.mark.parametrize("folder", ["/", "..", "../x", "a/b", "", ".", None, 3, ["a"]])
def test_only_a_folder_beside_the_file_counts_as_ours(tmp_path, folder):
    path = write(tmp_path / "d.json", {"training": [], "source": {**SOURCE, "files": folder}})
    assert EarlierDatalist.read(path).folder is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"name": "isic-2016"},
            r"^--out: .*d\.json was made from idrid, not isic-2016, .*; give --resplit, or another file$",
        ),
        ({"seed": 4}, r"was made with --seed 3, not 4, .*; give --seed 3, --resplit, or another file$"),
        ({"split": "drawn"}, r"was made with --split official, not drawn"),
        ({"test": 0.3}, r"was made with --test 0\.2, not 0\.3"),
        ({"validation": 0.0}, r"was made with --validation 0\.1, not 0\.0"),
    ],
)
def test_what_would_split_it_otherwise(tmp_path, change, message):
    earlier = EarlierDatalist.read(write(tmp_path / "d.json", {"training": [], "source": SOURCE}))
    earlier.check_made_like({**SOURCE, "labelled": 1.0, "options": {}})
    with pytest.raises(InputError, match=message):
        earlier.check_made_like({**SOURCE, **change})
