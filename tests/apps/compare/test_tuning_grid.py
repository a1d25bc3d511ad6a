# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from monai_semise.apps.compare.methods import Method
from monai_semise.apps.compare.tuning_grid import tuning_grid
from monai_semise.utils import InputError

METHODS = [Method("simclr", None), Method("corn", None)]


def test_every_combination_in_the_order_given():
    grid = tuning_grid(["head_lr=0.01,0.1", "batch_size=16,32"], METHODS)
    assert grid["simclr"] == grid["corn"]
    assert [tuple(candidate.values()) for candidate in grid["corn"]] == [
        ("0.01", "16"),
        ("0.01", "32"),
        ("0.1", "16"),
        ("0.1", "32"),
    ]


def test_own_values_stand_in_place_of_those_for_all():
    grid = tuning_grid(["head_lr=0.01,0.1", "simclr/temperature=0.1", "simclr/head_lr=1,2"], METHODS)
    assert grid["corn"] == [{"head_lr": "0.01"}, {"head_lr": "0.1"}]
    assert grid["simclr"] == [{"head_lr": "1", "temperature": "0.1"}, {"head_lr": "2", "temperature": "0.1"}]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.05", ["0.05"]),
        ("1e-3, 2", ["0.001", "2"]),
        ("None,True", ["None", "True"]),
        ("[1.0, 1.2],[0.9, 1.1]", ["[1.0, 1.2]", "[0.9, 1.1]"]),
        ("@head_lr, $2 * 3", ["@head_lr", "$2 * 3"]),
        ("skip,half", ["skip", "half"]),
    ],
)
def test_values_are_those_of_a_command_line(text, values):
    grid = tuning_grid([f"train#setting={text}"], METHODS[:1])
    assert [candidate["train::setting"] for candidate in grid["simclr"]] == values


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["head_lr"], "tune: 'head_lr' is not name=value,value"),
        (["=1,2"], "is not name=value,value"),
        (["simclr/=1,2"], "is not name=value,value"),
        (["head_lr="], "has an empty value, or one twice"),
        (["head_lr=0.1,0.10"], "has an empty value, or one twice"),
        (["ties=skip,,half"], "has an empty value, or one twice"),
        (["head_lr=1,2", "head_lr=3,4"], "tune: head_lr is given twice"),
        (["semise/head_lr=1,2"], "names no method of this comparison; they are simclr, corn"),
        (["simclr/head_lr=1,2", "corn/head_lr=1,2,3"], "for simclr 2, corn 3"),
        (["simclr/head_lr=1,2"], "for simclr 2, corn 1"),
    ],
)
def test_what_cannot_be_used(given, message):
    with pytest.raises(InputError, match=message):
        tuning_grid(given, METHODS)
