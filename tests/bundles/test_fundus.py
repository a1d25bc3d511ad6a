# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The overlay for color fundus images, and the switches that make training faster."""

from __future__ import annotations

import json

import pytest
import torch
from monai.bundle import ConfigParser

from monai_semise.transforms import LocalContrastd
from tests.bundles.harness import ROOT, run, weights, workflow

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


def test_bfloat16_and_channels_last_train_to_nearly_the_same(tmp_path):
    fast = workflow(tmp_path / "fast", bf16=True, channels_last=True)
    fast.initialize()
    network = fast.parser.get_parsed_content("network")
    assert network.encoder.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    fast.run()
    fast.finalize()
    exact = weights(run(tmp_path / "exact") / "model.pt")
    near = weights(tmp_path / "fast" / "run" / "model.pt")
    differences = [float((near[key] - exact[key]).abs().mean()) for key in exact if key.endswith("conv1.weight")]
    assert 0 < max(differences) < 0.05
