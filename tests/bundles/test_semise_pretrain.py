# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.bundle.scripts import ckpt_export, verify_metadata, verify_net_in_out
from monai.networks.nets import FlexibleUNet
from monai.transforms import Resize
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_semise.data import load_datalist
from monai_semise.networks import SemiseNet, load_encoder_weights
from tests.bundles.harness import CONFIG, ROOT, run, run_command, weights, workflow

NO_NETWORK = """
import socket
def refuse(*args, **kwargs):
    raise RuntimeError("this test allows no network")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
"""
SCHEMA = ROOT.parent / "shared" / "schema" / "meta_schema_20240725.json"


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """The command of the README, small, with the network shut off."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "sitecustomize.py").write_text(NO_NETWORK)
    return folder, run_command(folder, env={"PYTHONPATH": str(folder)})


def test_first_run_succeeds_without_network_errors_or_warnings(first_run):
    folder, done = first_run
    assert done.returncode == 0, done.stdout + done.stderr
    output = done.stdout + done.stderr
    ours = [line for line in output.splitlines() if re.search(r"\b(ERROR|WARNING)\b|monai_semise.*Warning", line)]
    assert ours == []
    assert str(folder / "run") in output.split("Everything is in")[1]


def test_first_run_leaves_everything_it_announces(first_run):
    folder, done = first_run
    announced = re.findall(r"^  (\S+)  ", done.stdout, flags=re.M)
    assert {"model.pt", "encoder.pt", "severity.csv", "summary.json", "curves.png", "embedding.png"} <= set(announced)
    assert all((folder / "run" / name).exists() for name in announced)
    assert any((folder / "run" / "tensorboard").rglob("events.*"))
    for picture in ("curves.png", "embedding.png"):
        with Image.open(folder / "run" / picture) as image:
            assert min(image.size) > 300
            assert len(image.convert("L").getcolors(256) or range(257)) > 20


def test_first_run_shows_progress_with_time_left(first_run):
    _, done = first_run
    assert re.search(r"Phase 1.*\[\d\d:\d\d<\d\d:\d\d", done.stderr)
    assert re.search(r"Phase 2.*\[\d\d:\d\d<\d\d:\d\d.*(nt_xent|preference)", done.stderr)


def test_log_has_both_terms_and_the_validation_measures(first_run):
    folder, _ = first_run
    rows = list(csv.DictReader((folder / "run" / "log.csv").open()))
    assert [(row["phase"], float(row["epoch"])) for row in rows] == [("discriminate", 1), ("train", 1), ("train", 2)]
    for name in ("nt_xent", "preference", "pair_accuracy", "kendall_tau", "dimensional_collapse"):
        assert all(math.isfinite(float(row[name])) for row in rows if row["phase"] == "train")
    for row in rows[1:]:
        mean = (float(row["nt_xent"]) + float(row["preference"])) / 2
        assert float(row["loss"]) == pytest.approx(mean, rel=1e-4)


def test_severity_csv_scores_every_validation_and_test_image(first_run):
    folder, _ = first_run
    datalist = load_datalist(next((folder / "data").glob("*/datalist.json")))
    rows = list(csv.DictReader((folder / "run" / "severity.csv").open()))
    expected = [("validation", item["image"]) for item in datalist["validation"]]
    expected += [("test", item["image"]) for item in datalist["test"]]
    assert [(row["section"], row["image"]) for row in rows] == expected
    assert all(0 <= float(row["score"]) <= 2 for row in rows)
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert summary["test"]["images"] == len(datalist["test"])


def test_saved_network_scores_as_reported_and_its_reference_is_of_all_healthy_images(first_run):
    folder, _ = first_run
    flow = workflow(folder)
    flow.initialize()
    network = flow.parser.get_parsed_content("network_def")
    network.load_state_dict(weights(folder / "run" / "model.pt"))
    network.eval()
    images = flow.parser.get_parsed_content("images")
    healthy = flow.parser.get_parsed_content("healthy")
    validation = flow.parser.get_parsed_content("validate::dataset")
    with torch.inference_mode():
        reference = torch.stack([network(images[n]["image"][None])[0, 0] for n in healthy]).mean(dim=0)
        score = network.severity(torch.cat([network(item["image"][None]) for item in validation]))
    assert torch.allclose(network.healthy_reference, reference, atol=1e-5)
    reported = [float(row["score"]) for row in csv.DictReader((folder / "run" / "severity.csv").open())]
    assert torch.allclose(score, torch.tensor(reported[: len(score)]), atol=2e-5)


def test_saved_encoder_loads_into_a_unet(first_run):
    folder, _ = first_run
    unet = FlexibleUNet(in_channels=1, out_channels=2, backbone="resnet10", spatial_dims=2)
    load_encoder_weights(unet.encoder, folder / "run" / "encoder.pt")
    assert torch.equal(unet.encoder.conv1.weight, weights(folder / "run" / "model.pt")["encoder.conv1.weight"])


def test_tensorboard_holds_both_terms_of_every_iteration(first_run):
    folder, _ = first_run
    events = EventAccumulator(str(folder / "run" / "tensorboard" / "train")).Reload()
    rows = list(csv.DictReader((folder / "run" / "log.csv").open()))
    for term in ("nt_xent", "preference"):
        logged = [event.value for event in events.Scalars(term)]
        assert len(logged) == 2 * 4  # epochs times batches
        assert sum(logged[:4]) / 4 == pytest.approx(float(rows[1][term]), rel=1e-4)
    validation = EventAccumulator(str(folder / "run" / "tensorboard" / "validate")).Reload()
    assert [event.step for event in validation.Scalars("pair_accuracy")] == [1, 2]


def test_checkpoint_exports_to_torchscript(first_run, tmp_path):
    folder, _ = first_run
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(folder / "run" / "model.pt"),
        meta_file=str(CONFIG.parent / "metadata.json"),
        config_file=str(CONFIG),
        backbone="resnet10",
        embedding_dim=16,
    )
    network = SemiseNet("resnet10", embedding_dim=16)
    network.load_state_dict(weights(folder / "run" / "model.pt"))
    image = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(torch.jit.load(str(tmp_path / "model.ts"))(image), network.eval()(image), atol=1e-5)


def test_bundle_properties_are_complete(tmp_path):
    flow = workflow(tmp_path)
    flow.initialize()
    assert flow.check_properties() == []


def test_metadata_and_network_agree(tmp_path):
    settings = {"config_file": str(CONFIG), "meta_file": str(CONFIG.parent / "metadata.json"), "device": "cpu"}
    assert verify_net_in_out("network_def", backbone="resnet10", **settings) is None
    with pytest.raises(ValueError, match="channel number"):
        verify_net_in_out("network_def", backbone="resnet10", separate_heads=True, **settings)


@pytest.mark.skipif(not SCHEMA.is_file(), reason="needs MONAI's bundle schema, which lies beside the checkout")
def test_metadata_is_valid():
    assert verify_metadata(meta_file=str(CONFIG.parent / "metadata.json"), filepath=str(SCHEMA)) is None


@pytest.mark.parametrize(
    ("image_format", "spatial_dims", "size"), [("dicom", 2, 32), ("nifti", 3, 32)], ids=["dicom", "nifti-volumes"]
)
def test_other_formats_run(tmp_path, image_format, spatial_dims, size):
    folder = run(
        tmp_path,
        phantoms__image_format=image_format,
        phantoms__size=size,
        phantoms__n_training=20,
        phantoms__n_validation=10,
        phantoms__n_test=5,
        spatial_dims=spatial_dims,
        train__trainer__max_epochs=1,
    )
    assert (folder / "model.pt").is_file()


@pytest.mark.parametrize("from_file", [False, True], ids=["drawn", "pairs.csv"])
def test_explicit_pairs_run(tmp_path, from_file):
    overlay = ROOT / "bundles" / "explicit_pairs.json"
    settings = {"n_training_pairs": 30, "train__trainer__max_epochs": 1}
    if from_file:
        flow = workflow(tmp_path)
        flow.initialize()
        items = [item for item in flow.parser.get_parsed_content("training_items") if item["severity"] > 0]
        items.sort(key=lambda item: item["severity"])
        lines = [f"{a['image']},{b['image']},b" for a, b in zip(items, items[len(items) // 2 :])]
        (tmp_path / "pairs.csv").write_text("\n".join(["image_a,image_b,winner", *lines]))
        settings["pairs_file"] = str(tmp_path / "pairs.csv")
    folder = run(tmp_path, overlay, **settings)
    row = list(csv.DictReader((folder / "log.csv").open()))[-1]
    assert 0 < float(row["preference"]) < 2
    assert 0 < float(row["nt_xent"]) < 10


def test_epochs_without_validation_log_no_measures(tmp_path):
    folder = run(tmp_path, val_interval=2, train__trainer__max_epochs=3)
    rows = [row for row in csv.DictReader((folder / "log.csv").open()) if row["phase"] == "train"]
    assert [bool(row["pair_accuracy"]) for row in rows] == [False, True, False]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_ends_of_alpha_run(tmp_path, alpha):
    folder = run(tmp_path, alpha=alpha, views="$['original'] if @alpha == 0 else ['original', 'augmented']")
    row = list(csv.DictReader((folder / "log.csv").open()))[-1]
    assert float(row["nt_xent" if alpha == 0 else "preference"]) == 0
    assert float(row["loss"]) == pytest.approx(float(row["preference" if alpha == 0 else "nt_xent"]))


@pytest.mark.parametrize("name", ["vindr_mammo", "papilledema", "isic"])
def test_recipes_hold_the_papers_settings(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # as shipped but for the data: small grey phantoms in its place
    flow = ConfigWorkflow(
        [str(CONFIG), str(ROOT / "bundles" / "recipes" / f"{name}.json")],
        logging_file=False,
        datalist="$monai_semise.data.ensure_phantoms(@dataset_dir, 40, 15, 10)",
        in_channels=1,
    )
    flow.initialize()
    network, optimizer = (flow.parser.get_parsed_content(key) for key in ("network_def", "train::optimizer"))
    assert network.projection.in_features == 2048
    assert network.projection.out_features == 256
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 1e-1]
    assert optimizer.defaults["momentum"] == 0.9
    assert isinstance(optimizer, torch.optim.SGD)
    assert len(flow.parser.get_parsed_content("pairs")) == 100_000
    assert len(flow.parser.get_parsed_content("validate::pairs")) == 1_000
    assert {len(batch) for batch in flow.parser.get_parsed_content("train::sampler")} == {256}
    assert len(flow.parser.get_parsed_content("train::dataloader")) == 390
    assert flow.parser.get_parsed_content("images")[0]["image"].shape == (1, 224, 224)
    prepared = [type(step).__name__ for step in flow.parser.get_parsed_content("train::preprocessing").transforms]
    assert ("MirrorRightBreastd" in prepared) == ("CropBreastd" in prepared) == (name == "vindr_mammo")


def test_recipes_agree_with_each_other_and_with_the_pairs_overlay():
    recipes = [json.loads(file.read_text()) for file in sorted((ROOT / "bundles" / "recipes").glob("*.json"))]
    own = {"_desc_", "datalist", "in_channels", "mammography", "output_dir", "augment::flip_axes"}
    own |= {"discriminate::trainer::max_epochs", "train::trainer::max_epochs"}
    common = [{key: value for key, value in recipe.items() if key not in own} for recipe in recipes]
    assert len(recipes) == 3
    assert common[0] == common[1] == common[2]
    pairs = json.loads((ROOT / "bundles" / "explicit_pairs.json").read_text())
    assert all(common[0][key] == value for key, value in pairs.items())


def test_configs_name_no_absolute_path():
    for file in (ROOT / "bundles").rglob("*.json"):
        assert not re.search(r'"/|[A-Z]:\\\\', Path(file).read_text())


@pytest.mark.parametrize("name", ["semise_pretrain", "explicit_pairs"])
def test_every_setting_is_documented(name):
    config = json.loads((ROOT / "bundles" / f"{name}.json").read_text())
    page = (ROOT / "docs" / "settings.md").read_text()
    internal = {"imports", "bundle_root", "data", "training_items", "healthy", "settings", "pairs", "memory_format"}
    settings = [key for key, value in config.items() if key not in internal and "::" not in key]
    settings = [key for key in settings if not isinstance(config[key], (dict, list)) or key in ("phantoms", "views")]
    assert [key for key in settings if f"`{key}`" not in page and key != "network"] == []


def test_monai_anti_aliasing_still_darkens_what_touches_the_border():
    """The configs average areas instead. When this fails, MONAI's anti-aliasing may be worth a look again."""
    image = torch.ones(1, 96, 96)
    assert Resize((32, 32), anti_aliasing=True)(image).min() < 0.9
    assert torch.allclose(Resize((32, 32))(image).as_tensor(), torch.ones(1, 32, 32))
    for file in (ROOT / "bundles").rglob("*.json"):
        assert "anti_aliasing" not in file.read_text()
