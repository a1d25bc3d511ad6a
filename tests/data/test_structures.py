# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import logging

import pytest
import torch

from monai_semise.data import annotated_items, load_datalist, read_structures, require_structures
from monai_semise.utils import InputError


def item(name, **fields):
    return {"image": f"{name}.png", "severity": -1, "index": 7, **fields}


@pytest.fixture
def datalist():
    return {
        "training": [item("a", mask="a_mask.png"), item("b"), item("c", mask=[None])],
        "unlabelled": [item("d"), item("e", mask="e_mask.png")],
        "validation": [item("f", mask="f_mask.png"), item("g", mask=None)],
        "test": [],
    }


def test_only_what_is_annotated_is_kept(datalist):
    annotated = annotated_items(datalist, ["lesion"])
    names = {section: [item["image"] for item in items] for section, items in annotated.items()}
    assert names == {"training": ["a.png", "c.png", "e.png"], "validation": ["f.png"], "test": []}
    assert [item["index"] for item in annotated["training"]] == [0, 1, 2]
    assert annotated["training"][1]["mask"] == [None]
    assert datalist["training"][0]["index"] == 7


def test_how_many_are_left_out_is_logged(datalist, caplog):
    with caplog.at_level(logging.INFO, logger="monai_semise"):
        annotated_items(datalist, ["lesion"])
    assert caplog.messages == [
        "Images with a mask: training 3 (2 without a mask left out), validation 1 (1 without a mask left out), "
        "test 0 (0 without a mask left out)"
    ]


@pytest.mark.parametrize("section", ["training", "validation"])
def test_section_without_a_mask(datalist, section):
    for source in (section, "unlabelled"):
        datalist[source] = [item("h"), item("i")]
    with pytest.raises(InputError, match=rf"{section}: none of \d images has a mask; add masks to the datalist, "):
        annotated_items(datalist, ["lesion"])


def test_not_one_mask_for_each_structure(datalist):
    with pytest.raises(InputError) as caught:
        annotated_items(datalist, ["disc", "cup"])
    assert str(caught.value) == (
        "training: c.png has 1 masks where there are 2 structures (disc, cup); list one for each, null where the "
        'image does not show it, and name them in the datalist: "structures": [...]'
    )


def test_phantoms(phantoms):
    loaded = load_datalist(phantoms(), graded=False)
    annotated = annotated_items(loaded, ["lesion"])
    assert [len(annotated[section]) for section in ("training", "validation", "test")] == [20, 10, 5]


# ---------------------------------------------------------------- names


def test_names(tmp_path):
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"structures": ["OD", "EX"], "training": []}))
    assert read_structures(path) == ["OD", "EX"]
    path.write_text(json.dumps({"training": []}))
    assert read_structures(path) == ["lesion"]


@pytest.mark.parametrize("names", [[], ["a", "a"]])
def test_names_that_cannot_be(tmp_path, names):
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"structures": names, "training": []}))
    with pytest.raises(InputError, match=r"structures: expected names that differ, found \["):
        read_structures(path)


def test_datalist_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_structures(tmp_path / "none.json")


# ---------------------------------------------------------------- is there anything to learn?


def masks(*shown):
    """Items that show the structures named."""
    for names in shown:
        mask = torch.zeros(2, 4, 4, dtype=torch.uint8)
        for n in names:
            mask[n, 1, 1] = 1
        yield {"mask": mask}


def test_every_structure_is_shown_somewhere():
    require_structures(masks([], [1], [0]), ["disc", "cup"], "training")


def test_structure_that_no_mask_shows():
    with pytest.raises(InputError, match=r"training: no mask shows cup; check the masks, add images that show it"):
        require_structures(masks([], [0], [0]), ["disc", "cup"], "training")
    with pytest.raises(InputError, match="training: no mask shows disc, cup;"):
        require_structures(masks([], []), ["disc", "cup"], "training")


def test_any_structure_is_enough_to_validate():
    require_structures(masks([], [1]), ["disc", "cup"], "validation", every=False)
    with pytest.raises(InputError, match="validation: no mask shows disc, cup;"):
        require_structures(masks([], []), ["disc", "cup"], "validation", every=False)


def test_nothing_is_read_beyond_what_is_needed():
    loaded = masks([0, 1], [])
    require_structures(loaded, ["disc", "cup"], "training")
    assert len(list(loaded)) == 1
