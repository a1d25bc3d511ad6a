# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The overlay for color fundus images."""

from __future__ import annotations

import json

import pytest
from monai.bundle import ConfigParser

from monai_semise.transforms import LocalContrastd
from tests.bundles.harness import ROOT, run

FUNDUS = ROOT / "bundles" / "fundus.json"


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("semise_pretrain", "train::preprocessing"),
        ("semise_classification", "train::preprocessing"),
        ("semise_segmentation", "load"),
    ],
)
@pytest.mark.parametrize("fundus", [True, False])
def test_overlay_fits_each_training_bundle(tmp_path, name, steps, fundus):
    parser = ConfigParser()
    parser.read_config([str(ROOT / "bundles" / f"{name}.json"), *([str(FUNDUS)] if fundus else [])])
    parser.update({"structures": ["OD"]} if name == "semise_segmentation" else {})
    transforms = parser.get_parsed_content(steps).transforms
    assert any(isinstance(step, LocalContrastd) for step in transforms) == fundus
    assert (parser.get_parsed_content("augment").rotation == 180) == fundus
    assert parser.get_parsed_content("in_channels") == (3 if fundus else 1)
    known = set(json.loads((ROOT / "bundles" / f"{name}.json").read_text()))
    assert {key.split("::")[0] for key in json.loads(FUNDUS.read_text())} - {"_desc_"} <= known


def test_it_trains(tmp_path):
    folder = run(tmp_path, FUNDUS, in_channels=1)
    assert json.loads((folder / "settings.json").read_text())["local_contrast"] is True
