# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from monai_semise.apps.compare.label_budget import reduce_labels
from monai_semise.data import load_datalist, write_datalist
from monai_semise.utils import InputError


@pytest.fixture
def datalist():
    training = [
        {"image": f"/data/{n}.png", "severity": n % 3, "group": n // 2, "mask": f"/data/{n}_m.png", "index": n}
        for n in range(60)
    ]
    other = [{"image": "/data/v.png", "severity": 1, "group": "v", "index": 0}]
    return {
        "training": training,
        "validation": other,
        "test": [{"image": "/data/t.png", "severity": 2, "index": 0}],
        "unlabelled": [{"image": "/data/u.png", "severity": -1, "index": 60}],
    }


def test_masks_of_the_unlabelled_are_part_of_the_budget(datalist):
    """A decoder learns from them, too."""
    masked = [{"image": f"/data/m{n}.png", "severity": -1, "mask": "/data/m.png", "index": n} for n in range(40)]
    datalist["unlabelled"] += masked
    less, more = (reduce_labels(datalist, share, 0, "/data") for share in (0.1, 0.5))
    kept = [{item["image"] for item in own["unlabelled"] if "mask" in item} for own in (less, more)]
    assert 1 <= len(kept[0]) <= 10
    assert kept[0] < kept[1]
    assert len(less["unlabelled"]) + len(less["training"]) == 101
    assert all(item["severity"] == -1 for item in less["unlabelled"])
    assert sum("mask" in item for item in reduce_labels(datalist, 1.0, 0, "/data")["unlabelled"]) == 40


def test_patients_keep_or_lose_all_their_labels(datalist):
    less = reduce_labels(datalist, 0.25, 0, "/data")
    kept = {item["group"] for item in less["training"]}
    assert 7 <= len(kept) <= 8
    assert not kept & {item.get("group") for item in less["unlabelled"]}
    hidden = [item for item in less["unlabelled"] if item["image"] != "/data/u.png"]
    assert len(hidden) + len(less["training"]) == 60
    assert all(item["severity"] == -1 and "mask" not in item for item in hidden)
    assert all("mask" in item for item in less["training"])
    assert (less["validation"][0]["severity"], less["test"][0]["severity"]) == (1, 2)
    assert all("mask" in item for item in datalist["training"])  # what was given stays


def test_budgets_are_nested_and_seeded(datalist):
    kept = {
        (share, seed): {item["image"] for item in reduce_labels(datalist, share, seed, "/data")["training"]}
        for share in (0.1, 0.5, 1.0)
        for seed in (0, 1)
    }
    for seed in (0, 1):
        assert kept[0.1, seed] < kept[0.5, seed] < kept[1.0, seed]
    assert kept[0.5, 0] != kept[0.5, 1]
    assert kept[1.0, 0] == kept[1.0, 1]


def test_the_draw_does_not_depend_on_the_place(datalist):
    for item in datalist["training"]:
        del item["group"]
    moved = {
        name: [{**item, "image": item["image"].replace("/data", "/elsewhere")} for item in items]
        for name, items in datalist.items()
    }
    here, there = reduce_labels(datalist, 0.3, 0, "/data"), reduce_labels(moved, 0.3, 0, "/elsewhere")
    assert [item["image"].rsplit("/")[-1] for item in here["training"]] == [
        item["image"].rsplit("/")[-1] for item in there["training"]
    ]


def test_what_is_written_can_be_read(phantoms, tmp_path):
    path = phantoms()
    less = reduce_labels(load_datalist(path), 0.4, 0, path.parent)
    write_datalist(tmp_path / "less.json", less)
    read = load_datalist(tmp_path / "less.json", required=("training", "validation", "test"))
    assert [len(read[name]) for name in read] == [len(less[name]) for name in read]
    assert {item["severity"] for item in read["training"]} == {0, 1, 2, 3, 4}


def test_shares_out_of_range_are_refused(datalist):
    with pytest.raises(InputError, match=r"labelled: 1.5 is not a share in \(0, 1\]"):
        reduce_labels(datalist, 1.5, 0, "/data")


def test_a_budget_keeps_masks():
    """Else a decoder would have nothing to learn from; four of sixty images have one."""
    images = [{"image": f"/data/{n}.png", "severity": n % 3, "index": n} for n in range(60)]
    datalist = {"training": [{**item, "mask": "/data/m.png"} if n < 4 else item for n, item in enumerate(images)]}
    for seed in range(20):
        less = reduce_labels(datalist, 0.1, seed, "/data")
        assert any("mask" in item for item in less["training"])
        assert len(less["training"]) in (6, 7)
