# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import functools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose, Lambdad, Resized, ScaleIntensityd

from monai_semise.data import load_datalist
from monai_semise.data.describe_transform import describe_transform
from tests.bundles.harness import CONFIG

SCRIPT = """
import json, sys
from monai.bundle import ConfigParser
from monai_semise.data.describe_transform import describe_transform
parser = ConfigParser()
parser.read_config(sys.argv[1])
print("\\n" + json.dumps(describe_transform(parser.get_parsed_content("train::preprocessing"))))
"""


def shipped(step=None, override=None):
    """The preprocessing of the shipped config, with other settings or other arguments of one step."""
    parser = ConfigParser()
    parser.read_config(str(CONFIG))
    if step is not None:
        steps = parser["train::preprocessing::transforms"]
        next(part for part in steps if part["_target_"].endswith(step)).update(override)
    else:
        parser.update(override or {})
    return parser.get_parsed_content("train::preprocessing")


def test_equal_for_equal_settings_in_another_process_and_after_use(phantoms):
    transform = shipped()
    before = describe_transform(transform)
    assert before == describe_transform(shipped())
    transform(load_datalist(phantoms())["training"][0])
    assert describe_transform(transform) == before
    done = subprocess.run([sys.executable, "-c", SCRIPT, CONFIG], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == before


@pytest.mark.parametrize(
    ("step", "override"),
    [
        (None, {"image_size": 48}),
        (None, {"in_channels": 3}),
        (None, {"spatial_dims": 3}),
        (None, {"train::preprocessing::lazy": True}),
        ("LoadCheckedImaged", {"reader": "PydicomReader"}),
        ("Resized", {"mode": "bilinear"}),
        ("ScaleIntensityd", {"maxv": 0.5}),
        ("SelectItemsd", {"keys": ["image"]}),
    ],
)
def test_differs_for_other_settings(step, override):
    assert describe_transform(shipped(step, override)) != describe_transform(shipped())


def test_order_counts():
    steps = [Resized("image", (8, 8)), ScaleIntensityd("image")]
    assert describe_transform(Compose(steps)) != describe_transform(Compose(steps[::-1]))


def double(image):
    return 2 * image


def half(image):
    return image / 2


def test_functions_count_by_name():
    assert describe_transform(Lambdad("image", double)) == describe_transform(Lambdad("image", double))
    assert describe_transform(Lambdad("image", double)) != describe_transform(Lambdad("image", half))
    descriptions = [describe_transform(functools.partial(np.clip, a_min=low)) for low in (0, 0, 1)]
    assert descriptions[0] == descriptions[1] != descriptions[2]


@pytest.mark.parametrize("make", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_arrays_count_by_content(make):
    descriptions = [describe_transform({"affine": make(values)}) for values in ([1.0, 2.0], [1.0, 2.0], [1.0, 3.0])]
    assert descriptions[0] == descriptions[1] != descriptions[2]


class Anything:
    """An object with whatever attributes."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    ("value", "described"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (np.float32(0.5), 0.5),
        (torch.float16, "torch.float16"),
        (np.dtype("uint8"), "uint8"),
        (torch.device("cpu"), "cpu"),
        ({2, 1}, ["1", "2"]),
        ((1, [2]), [1, [2]]),
        (int, "builtins.int"),
    ],
)
def test_values_that_json_has_not(value, described):
    description = describe_transform(Anything(value=value))
    assert description["value"] == described
    assert json.loads(json.dumps(description)) == description


def test_an_object_within_itself_ends():
    thing = Anything()
    thing.inner = [thing]
    assert describe_transform(thing)["inner"] == ["(itself)"]


def test_an_object_twice_is_described_twice():
    inner = Anything(size=3)
    description = describe_transform(Anything(a=inner, b=inner))
    assert description["a"] == description["b"]
    assert description["a"]["size"] == 3
