# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json

import pytest
import torch

from monai_semise.data import PreparedDataset
from monai_semise.utils import find_semise_error
from tests.bundles.harness import ROOT, run, weights, workflow

OVERLAY = ROOT / "bundles" / "prepared.json"
PAIRS = ROOT / "bundles" / "explicit_pairs.json"
DATASETS = ("images", "validate::dataset", "test_dataset")
TIMES = {"images_per_second", "training_seconds", "seconds"}


def log(folder):
    """What was logged, but for the times."""
    with open(folder / "log.csv") as stream:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(stream)]


def datasets(flow):
    return [flow.parser.get_parsed_content(name) for name in DATASETS]


@pytest.fixture
def folders(tmp_path):
    """Folders of two runs on the same phantoms."""
    pair = (tmp_path / "plain", tmp_path / "prepared")
    for folder in pair:
        folder.mkdir()
    return pair


@pytest.fixture
def shared(tmp_path):
    return {"dataset_dir": str(tmp_path / "data"), "train__trainer__max_epochs": 1}


def test_run_equals_one_without_the_overlay(folders, tmp_path, shared):
    plain = run(folders[0], **shared)
    prepared = run(
        folders[1], OVERLAY, prepared_dir=str(tmp_path / "arrays"), prepared_dtype="float32", num_workers=1, **shared
    )
    assert log(prepared) == log(plain)
    assert (prepared / "severity.csv").read_text() == (plain / "severity.csv").read_text()
    expected = weights(plain / "model.pt")
    assert all(torch.equal(value, expected[name]) for name, value in weights(prepared / "model.pt").items())


def test_images_are_the_same_but_for_rounding(folders, tmp_path, shared):
    plain, prepared = (
        workflow(folders[0], **shared),
        workflow(folders[1], OVERLAY, prepared_dir=str(tmp_path / "a"), **shared),
    )
    for flow in (plain, prepared):
        flow.initialize()
    for expected, got in zip(datasets(plain), datasets(prepared)):
        assert isinstance(got, PreparedDataset)
        assert len(got) == len(expected) > 0
        for a, b in zip(expected, got):
            assert a.keys() == b.keys()
            assert all(a[key] == b[key] for key in a if key != "image")
            assert (a["image"] - b["image"]).abs().max() <= 0.5 / 65535 + 1e-7


def test_the_second_run_decodes_nothing(folders, tmp_path, shared):
    sizes = []
    for folder in folders:
        flow = workflow(folder, OVERLAY, prepared_dir=str(tmp_path / "arrays"), **shared)
        flow.initialize()
        sizes.append([dataset.prepared for dataset in datasets(flow)])
    assert sizes == [[40, 15, 10], [0, 0, 0]]


def test_explicit_pairs_run_on_prepared_images(tmp_path, shared):
    folder = run(tmp_path, PAIRS, OVERLAY, prepared_dir=str(tmp_path / "arrays"), n_training_pairs=30, **shared)
    assert 0 < float(log(folder)[-1]["preference"]) < 2


def test_other_image_size_needs_another_folder(folders, tmp_path, shared):
    settings = {"prepared_dir": str(tmp_path / "arrays"), **shared}
    workflow(folders[0], OVERLAY, **settings).initialize()
    with pytest.raises(RuntimeError) as raised:
        workflow(folders[1], OVERLAY, image_size=16, **settings).initialize()
    assert "arrays: was prepared with" in str(find_semise_error(raised.value))
    assert "32 (now 16)" in str(find_semise_error(raised.value))


def test_misspelt_setting(tmp_path):
    with pytest.raises(RuntimeError) as raised:
        workflow(tmp_path, OVERLAY, prepard_dir="x").initialize()
    assert 'did you mean "prepared_dir"?' in str(find_semise_error(raised.value))


def test_every_setting_is_documented():
    page = (ROOT / "docs" / "settings.md").read_text()
    settings = [key for key, value in json.loads(OVERLAY.read_text()).items() if not isinstance(value, dict)]
    assert settings == ["prepared_dir", "prepared_dtype", "prepare_workers"]
    assert [key for key in settings if f"`{key}`" not in page] == []
