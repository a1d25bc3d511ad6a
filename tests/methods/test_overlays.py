# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Every file of ``bundles/methods``: well-formed, and it trains."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re

import pytest
from monai.bundle import ConfigParser

from monai_semise.bundle import unknown_settings
from monai_semise.data import ensure_phantoms, load_datalist, write_datalist
from tests.bundles.harness import CONFIG
from tests.methods.harness import METHODS, overlay, part, read_overlay, start

TINY = {
    "train__trainer__max_epochs": 1,
    "batch_size": 8,
    "phantoms__n_training": 24,
    "phantoms__n_validation": 8,
    "phantoms__n_test": 6,
    "n_validation_pairs": 10,
    "n_resamples": 10,
}
"""A few training steps of each phase."""
MANY_PAIRS = {"semise-paper": {"n_training_pairs": 16}}
BASE = json.loads(CONFIG.read_text(encoding="utf-8"))


def keys(config, prefix=""):
    """Ids of all settings of a config, nested ones included."""
    found = set()
    for name, value in config.items():
        found.add(prefix + name)
        if isinstance(value, dict):
            found |= keys(value, f"{prefix}{name}::")
    return found


@pytest.mark.parametrize("name", METHODS)
def test_overlay_says_what_it_is(name):
    content = read_overlay(name)
    assert next(iter(content)) == "_desc_"
    assert re.search(r"\b(grade|ungraded)", content["_desc_"], flags=re.IGNORECASE)
    assert content["settings::method"] == name


@pytest.mark.parametrize("name", METHODS)
def test_overlay_names_only_known_settings(name):
    merged = ConfigParser(ConfigParser.load_config_files([str(CONFIG), str(overlay(name))])).get()
    recorded = {f"settings::{key}" for key, value in merged["settings"].items() if value == f"@{key}"}
    assert unknown_settings(merged, known=keys(BASE) | recorded) == []


@pytest.mark.parametrize("name", METHODS)
def test_a_run_with_other_settings_of_the_method_is_another_run(name):
    """What a user would tune is among the ``settings``, which a resumed run is compared with."""
    content = read_overlay(name)
    own = [key for key, value in content.items() if key not in keys(BASE) and isinstance(value, (int, float, bool))]
    recorded = json.dumps([value for key, value in content.items() if key.startswith("settings::")])
    assert [key for key in own if f"@{key}" not in recorded] == []


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return str(tmp_path_factory.mktemp("phantoms"))


@pytest.mark.parametrize("name", METHODS)
def test_method_trains_an_epoch_and_is_reported(name, tmp_path, phantoms):
    flow = start(tmp_path, name, dataset_dir=phantoms, **TINY, **MANY_PAIRS.get(name, {}))
    assert part(flow, "settings")["method"] == name
    # the pictures of the report take longer than the training
    flow.run()
    row = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))[-1]
    assert row["phase"] == "train"
    assert math.isfinite(float(row["loss"]))
    assert {"model.pt", "encoder.pt", "summary.json"} <= {file.name for file in (tmp_path / "run").iterdir()}


@pytest.mark.filterwarnings("ignore:validation")
@pytest.mark.parametrize("name", ["conpro", "corn", "semise", "simclr", "supcon-2-pairs", "supervised"])
def test_two_grades_are_enough(name, tmp_path):
    phantoms = ensure_phantoms(tmp_path, n_training=24, n_validation=8, n_test=6, size=32, progress=False)
    sections = load_datalist(phantoms)
    for item in itertools.chain(*sections.values()):
        item["severity"] = min(item["severity"], 1)
    write_datalist(tmp_path / "two.json", {**sections, "grades": ["healthy", "ill"]})
    flow = start(tmp_path, name, datalist=str(tmp_path / "two.json"), **TINY)
    flow.run()
    flow.finalize()
    test = json.loads((tmp_path / "run" / "summary.json").read_text())["test"]
    assert 0 <= test["pair_accuracy_with_healthy"] <= 1
