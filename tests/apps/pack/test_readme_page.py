# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import pytest

from monai_semise.apps.pack.configs import metadata
from monai_semise.apps.pack.kinds import KINDS
from monai_semise.apps.pack.readme_page import readme_text
from tests.apps.pack.runs import BUNDLES

KIND = KINDS["semise_classification"]
SETTINGS = {
    "spatial_dims": 2,
    "in_channels": 3,
    "image_size": [32, 48],
    "grade_names": ["a|b", "c\nd"],
    "head": "softmax",
}
METADATA = metadata(json.loads((BUNDLES / "metadata.json").read_text()), KIND, SETTINGS, "0.1.0")


def page(summary=(), exports=(), **settings):
    return readme_text(KIND, METADATA, {**SETTINGS, **settings}, dict(summary), exports)


def test_settings_are_written_as_a_person_would():
    lines = page(freeze=True, augmentation=False, warmup=None, hidden_channels=[16, 8], bundle="x").splitlines()
    for line in (
        "| `freeze` | yes |",
        "| `augmentation` | no |",
        "| `warmup` | none |",
        "| `hidden_channels` | 16, 8 |",
        r"| `grade_names` | a\|b, c\nd |",
    ):
        assert line in lines
    assert not any("`bundle`" in line for line in lines)
    assert any(line.startswith("Images with 3 channel(s), resized to 32 x 48 pixels") for line in lines)


@pytest.mark.parametrize("name", ["datalist", "encoder", "imagenet_weights"])
def test_files_of_the_machine_are_not_named(name):
    text = page(**{name: "/secret/file.pt"})
    assert "secret" not in text
    assert ("came from a pretraining" in text) is (name != "datalist")
    assert ("were random at first" in text) is (name == "datalist")


def test_measures():
    rows = {
        "model": {"accuracy": [0.5, 0.25, 0.75], "one_off": [1, None, None], "disc|cup_dice": [0.1, 0.1, 0.1]},
        "constant-majority": {"accuracy": [0.2, 0.1, 0.3], "one_off": [None, None, None]},
    }
    section = {"images": 4, "patients": 2, "rows": rows, "warnings": ["too few"]}
    lines = page({"validation": {"images": 3}, "test": section}).splitlines()
    start = lines.index("|  | model | constant-majority |")
    assert lines[start + 1 : start + 8] == [
        "|---|---|---|",
        "| accuracy | 0.500 (0.250 to 0.750) | 0.200 (0.100 to 0.300) |",
        "| one off | 1.000 | - |",
        r"| disc\|cup dice | 0.100 (0.100 to 0.100) | - |",
        "",
        "- **Warning**: too few",
        "",
    ]
    assert "validation" not in "".join(lines)
    assert "Not measured." in page()


def test_exports():
    assert "`models/model.ts` holds the same network" in page(exports=["models/model.ts"])
    assert "`a` and `b` hold the same network" in page(exports=["a", "b"])
    assert "same network" not in page()


def test_an_encoder_that_started_at_random_is_not_said_to_be_pretrained():
    assert "were random at first" in page(encoder="null")
