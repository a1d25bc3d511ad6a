# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json
import re

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow

from monai_semise.data import ensure_phantoms
from monai_semise.networks import SeverityClassifier, build_encoder
from monai_semise.utils import find_semise_error, load_checkpoint, save_checkpoint, write_json
from tests.bundles.harness import ROOT

CONFIG = ROOT / "bundles" / "semise_classification.json"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A phantom datalist and an encoder."""
    folder = tmp_path_factory.mktemp("classification")
    torch.manual_seed(0)
    for dims in (2, 3):
        save_checkpoint(folder / f"encoder{dims}.pt", build_encoder("resnet10", dims, 1)[0].state_dict())
    return folder


def workflow(folder, data, *overlays, **override):
    settings = {
        "backbone": "resnet10",
        "image_size": 32,
        "batch_size": 10,
        "hidden_channels": [16, 8],
        "n_resamples": 50,
        "encoder": str(data / "encoder2.pt"),
        "phantoms::n_training": 40,
        "phantoms::n_validation": 15,
        "phantoms::n_test": 10,
        "phantoms::size": 32,
        "train::trainer::max_epochs": 3,
        "dataset_dir": str(data / "data"),
        "output_dir": str(folder / "run"),
        **{name.replace("__", "::"): value for name, value in override.items()},
    }
    files = [str(CONFIG), *(str(ROOT / "bundles" / "classification" / f"{name}.json") for name in overlays)]
    return ConfigWorkflow(files, logging_file=False, workflow_type="train", **settings)


def run(folder, data, *overlays, **override):
    flow = workflow(folder, data, *overlays, **override)
    flow.initialize()
    flow.run()
    return folder / "run"


def head_of(run_folder):
    state = load_checkpoint(run_folder / "model.pt")
    return torch.cat([value.flatten() for key, value in state.items() if key.startswith("head.")])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    return run(tmp_path_factory.mktemp("finished"), data)


def test_files(finished, data):
    rows = list(csv.DictReader((finished / "predictions.csv").open()))
    assert [row["section"] for row in rows] == ["validation"] * 15 + ["test"] * 10
    for row in rows:
        probability = [float(row[f"probability_{k}"]) for k in range(5)]
        assert sum(probability) == pytest.approx(1, abs=1e-4)
        assert probability[int(row["grade"])] == max(probability)
        assert float(row["score"]) == pytest.approx(sum(k * p for k, p in enumerate(probability)), abs=1e-4)
    summary = json.loads((finished / "summary.json").read_text())
    assert set(summary["test"]["rows"]) == {"model", "constant-majority", "stratified-random"}
    measures = list(csv.DictReader((finished / "measures.csv").open()))
    assert {row["predictor"] for row in measures} == {"model", "constant-majority", "stratified-random"}
    value = {(row["section"], row["predictor"], row["measure"]): float(row["value"]) for row in measures}
    accuracy = value["test", "model", "accuracy"]
    assert accuracy == sum(row["severity"] == row["grade"] for row in rows if row["section"] == "test") / 10
    assert (finished / "confusion.png").stat().st_size > 5000
    assert (finished / "curves.png").stat().st_size > 5000


def test_the_encoder_is_untouched(finished, data):
    state = load_checkpoint(finished / "model.pt")
    for key, value in load_checkpoint(data / "encoder2.pt").items():
        assert torch.equal(state[f"encoder.{key}"], value)
    network = SeverityClassifier(5, "resnet10", hidden_channels=(16, 8))
    network.load_state_dict(state)


def test_kept_features_give_the_same_numbers(finished, data, tmp_path):
    without = run(tmp_path, data, cache_features=False)
    assert torch.allclose(head_of(without), head_of(finished), atol=1e-5)


def test_a_killed_run_resumes_to_the_same_weights(finished, data, tmp_path):
    flow = workflow(tmp_path, data)
    flow.initialize()
    trainer = flow.parser.get_parsed_content("train::trainer")
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=1), lambda engine: engine.terminate())
    trainer.run()
    assert trainer.state.epoch == 1
    assert torch.equal(head_of(run(tmp_path, data)), head_of(finished))


@pytest.mark.parametrize("overlay", ["corn", "focal"])
def test_other_losses(overlay, data, tmp_path):
    folder = run(tmp_path, data, overlay)
    assert set(json.loads((folder / "summary.json").read_text())) == {"validation", "test"}


def test_fine_tuning_moves_the_encoder(data, tmp_path):
    folder = run(tmp_path, data, freeze=False, augmentation=True, encoder_lr=0.01)
    state = load_checkpoint(folder / "model.pt")
    before = load_checkpoint(data / "encoder2.pt")
    assert not torch.equal(state["encoder.layer4.0.conv1.weight"], before["layer4.0.conv1.weight"])


def test_volumes(data, tmp_path):
    folder = run(
        tmp_path,
        data,
        spatial_dims=3,
        encoder=str(data / "encoder3.pt"),
        phantoms__image_format="nifti",
        phantoms__size=20,
        image_size=32,
        phantoms__n_training=15,
        train__trainer__max_epochs=1,
    )
    assert (folder / "predictions.csv").is_file()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"encoder": "/nowhere/encoder.pt"}, r"encoder: /nowhere/encoder.pt does not exist; run semise_pretrain first"),
        ({"backbone": "resnet50"}, r"encoder2.pt: layer1.0.conv1.weight has shape"),
        ({"in_channels": 3}, r"encoder2.pt: conv1.weight has shape \(64, 1, 7, 7\) where .* needs \(64, 3, 7, 7\)"),
        ({"hed": "corn"}, r'unknown setting "hed"; did you mean "head"'),
    ],
)
def test_bad_settings(override, message, data, tmp_path):
    with pytest.raises(RuntimeError) as caught:
        run(tmp_path, data, **override)
    assert re.search(message, str(find_semise_error(caught.value)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {1: 3}}, r"training: no image of severity 1 \(mild\), but the scale has 5 grades"),
        ({"training": {4: 3}, "grades": 4}, r"has severity 4, which no training image has \(0, 1, 2, 3\)"),
    ],
)
def test_grades_that_training_lacks(change, message, data, tmp_path):
    source = ensure_phantoms(tmp_path / "data", n_training=20, n_validation=10, n_test=10, size=32, progress=False)
    with open(source) as stream:
        datalist = json.load(stream)
    for item in datalist["training"]:
        item["severity"] = change["training"].get(item["severity"], item["severity"])
    datalist["grades"] = datalist["grades"][: change.get("grades", 5)]
    path = f"{source.removesuffix('.json')}_changed.json"
    write_json(path, datalist)
    with pytest.raises(RuntimeError) as caught:
        run(tmp_path, data, datalist=path)
    assert re.search(message, str(find_semise_error(caught.value)))


def test_every_setting_is_documented():
    page = (ROOT / "docs" / "settings.md").read_text()
    section = page.split("# Settings of `semise_classification`")[1].split("\n# ")[0]
    config = json.loads(CONFIG.read_text())
    parts = {"imports", "bundle_root", "initialize", "run", "data", "graded", "settings", "network_def", "network"}
    parts |= {"augment", "images", "made_of", "train", "validate", "test", "report", "memory_format"}
    assert [name for name in config if name not in parts and f"`{name}`" not in section] == []
