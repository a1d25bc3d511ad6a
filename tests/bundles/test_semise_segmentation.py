# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from monai.bundle.scripts import ckpt_export
from monai.networks.nets import FlexibleUNet
from PIL import Image

from monai_semise.data import ensure_phantoms, load_datalist
from monai_semise.networks import SegmentationUNet, build_encoder
from monai_semise.utils import find_semise_error, load_checkpoint, save_checkpoint, write_json
from tests.bundles.harness import ROOT

CONFIG = ROOT / "bundles" / "semise_segmentation.json"
WINDOWS = ROOT / "bundles" / "segmentation" / "windows.json"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder for phantoms, with an encoder in 2D and one in 3D."""
    folder = tmp_path_factory.mktemp("segmentation")
    torch.manual_seed(1)  # not the run's
    for dims in (2, 3):
        save_checkpoint(folder / f"encoder{dims}.pt", build_encoder("resnet10", dims, 1)[0].state_dict())
    return folder


def workflow(folder, data, *overlays, **override):
    settings = {
        "backbone": "resnet10",
        "image_size": 32,
        "batch_size": 10,
        "decoder_channels": [32, 32, 16, 16, 8],
        "n_resamples": 50,
        "encoder": str(data / "encoder2.pt"),
        "phantoms::n_training": 20,
        "phantoms::n_validation": 10,
        "phantoms::n_test": 10,
        "phantoms::size": 32,
        "train::trainer::max_epochs": 2,
        "dataset_dir": str(data / "data"),
        "output_dir": str(folder / "run"),
        **{name.replace("__", "::"): value for name, value in override.items()},
    }
    files = [str(file) for file in (CONFIG, *overlays)]
    return ConfigWorkflow(files, logging_file=False, workflow_type="train", **settings)


def run(folder, data, *overlays, **override):
    flow = workflow(folder, data, *overlays, **override)
    flow.initialize()
    flow.run()
    return folder / "run"


def rows_of(folder):
    return list(csv.DictReader((folder / "segmentation.csv").open()))


def message_of(folder, data, **override):
    """The message that initialization ends with: all input is met before training."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 (MONAI wraps it)
        workflow(folder, data, **override).initialize()
    error = find_semise_error(raised.value)
    assert error is not None, raised.value
    return str(error)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data):
    return run(tmp_path_factory.mktemp("finished"), data)


@pytest.fixture
def phantoms(tmp_path, data):
    """A set of its own to spoil, as (folder, content of the datalist)."""
    path = ensure_phantoms(data / "own", n_training=10, n_validation=5, n_test=5, size=32, progress=False)
    folder = tmp_path / "set"
    shutil.copytree(path.removesuffix("/datalist.json"), folder)
    return folder, json.loads((folder / "datalist.json").read_text())


def given(folder, content):
    write_json(folder / "datalist.json", content)
    return str(folder / "datalist.json")


# ---------------------------------------------------------------- what a run leaves behind


def test_files(finished, data):
    items = load_datalist(next((data / "data").glob("*/datalist.json")))
    rows = rows_of(finished)
    expected = [(section, item["image"]) for section in ("validation", "test") for item in items[section]]
    assert [(row["section"], row["image"]) for row in rows] == expected
    severity = [item["severity"] for section in ("validation", "test") for item in items[section]]
    assert [bool(row["dice"]) for row in rows] == [grade > 0 for grade in severity]
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["test"]["images"] == 10
    assert {"lesion_dice", "lesion_iou", "lesion_absent_correct"} == set(summary["test"]["rows"]["model"])
    log = list(csv.DictReader((finished / "log.csv").open()))
    for row in log:
        assert float(row["loss"]) == pytest.approx(float(row["dice_loss"]) + float(row["cross_entropy"]), rel=1e-4)
    best = max(float(row["dice"]) for row in log)
    assert best == pytest.approx(summary["validation"]["rows"]["model"]["lesion_dice"][0], abs=1e-4)
    for name in ("model.pt", "overlays.png", "curves.png", "measures.csv", "settings.json"):
        assert (finished / name).stat().st_size > 100


def test_saved_weights_are_those_of_a_unet_on_the_pretrained_encoder(finished, data):
    state = load_checkpoint(finished / "model.pt")
    unet = FlexibleUNet(1, 1, "resnet10", decoder_channels=(32, 32, 16, 16, 8))
    unet.load_state_dict(state)
    pretrained = load_checkpoint(data / "encoder2.pt")
    assert all(torch.equal(state[f"encoder.{name}"], value) for name, value in pretrained.items())


def test_checkpoint_exports_to_torchscript(finished, data, tmp_path):
    options = {"backbone": "resnet10", "encoder": str(data / "encoder2.pt"), "decoder_channels": [32, 32, 16, 16, 8]}
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(finished / "model.pt"),
        meta_file=str(CONFIG.parent / "metadata.json"),
        config_file=str(CONFIG),
        structures=["lesion"],
        **options,
    )
    network = SegmentationUNet(1, 1, "resnet10", decoder_channels=(32, 32, 16, 16, 8)).eval()
    network.load_state_dict(load_checkpoint(finished / "model.pt"))
    image = torch.rand(1, 1, 33, 50)
    with torch.inference_mode():
        assert torch.allclose(torch.jit.load(str(tmp_path / "model.ts"))(image), network(image), atol=1e-5)


def test_a_run_that_is_killed_ends_like_one_that_is_not(tmp_path, data, finished):
    flow = workflow(tmp_path, data)
    flow.initialize()
    trainer = flow.parser.get_parsed_content("train::trainer")

    def kill(engine):
        if engine.state.epoch == 2:
            raise KeyboardInterrupt

    trainer.add_event_handler(Events.ITERATION_COMPLETED, kill)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    resumed = run(tmp_path, data, num_workers=1)
    one, other = (load_checkpoint(folder / "model.pt") for folder in (resumed, finished))
    assert all(torch.equal(one[name], value) for name, value in other.items())


def test_what_is_easy_is_learned(tmp_path, data):
    """Bright discs anywhere, in 30 images."""
    random = np.random.default_rng(0)
    axis = np.arange(32)
    content = {"training": [], "validation": [], "test": []}
    for n in range(45):
        centre = random.uniform(8, 24, size=2)
        disc = np.hypot(axis[:, None] - centre[0], axis[None] - centre[1]) < 7
        image = 60 + 100 * disc + random.normal(scale=10, size=disc.shape)
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / f"{n}.png")
        Image.fromarray(disc.astype(np.uint8)).save(tmp_path / f"mask_{n}.png")
        content[("training", "validation", "test")[(n >= 25) + (n >= 35)]].append(
            {"image": f"{n}.png", "mask": f"mask_{n}.png"}
        )
    options = {"head_lr": 0.01, "batch_size": 5, "train__trainer__max_epochs": 12, "val_interval": 4}
    folder = run(tmp_path, data, datalist=given(tmp_path, content), **options)
    test = json.loads((folder / "summary.json").read_text())["test"]
    assert test["rows"]["model"]["lesion_dice"][0] > 0.85
    assert test["rows"]["constant-mask"]["lesion_dice"][0] < 0.7
    assert test["warnings"] == ["10 patients or groups: intervals from fewer than 20 are too narrow"]


def test_fine_tuning(tmp_path, data):
    folder = run(tmp_path, data, freeze=False, val_interval=2)
    before, after = (load_checkpoint(path) for path in (data / "encoder2.pt", folder / "model.pt"))
    assert not torch.equal(before["conv1.weight"], after["encoder.conv1.weight"])


# ---------------------------------------------------------------- other data


def test_several_structures_sizes_and_absent_masks(tmp_path, data, phantoms):
    """Lesions and one half of the image, which overlap; odd sizes; what is not annotated is left out."""
    folder, content = phantoms
    content["structures"] = ["lesion", "half"]
    for n, item in enumerate(content["training"] + content["validation"] + content["test"]):
        with Image.open(folder / item["image"]) as image, Image.open(folder / item["mask"]) as mask:
            size = (35 + n, 61)
            image.resize(size).save(folder / item["image"])
            mask.resize(size, Image.Resampling.NEAREST).save(folder / item["mask"])
        half = np.zeros(size[::-1], dtype=np.uint8)
        half[:, size[0] // 2 :] = 255
        Image.fromarray(half).save(folder / f"half_{n}.png")
        item["mask"] = [item["mask"] if item["severity"] else None, f"half_{n}.png"]
    del content["training"][0]["mask"], content["test"][1]["mask"]
    result = run(tmp_path, data, datalist=given(folder, content))
    rows = rows_of(result)
    assert len(rows) == 2 * (5 + 4)
    assert {row["structure"] for row in rows} == {"lesion", "half"}
    assert all(float(row["true_share"]) == pytest.approx(0.5, abs=0.02) for row in rows if row["structure"] == "half")
    assert load_checkpoint(result / "model.pt")["segmentation_head.0.weight"].shape[0] == 2
    trained = json.loads((result / "settings.json").read_text())
    assert trained["structures"] == ["lesion", "half"]


def test_exclusive_label_maps(tmp_path, data, phantoms):
    folder, content = phantoms
    for item in content["training"] + content["validation"] + content["test"]:
        labels = np.array(Image.open(folder / item["mask"]))
        labels = np.where(labels > 0, 1, 2).astype(np.uint8)
        labels[:, :16] = 0
        Image.fromarray(labels).save(folder / item["mask"])
    result = run(tmp_path, data, datalist=given(folder, content), structures=["lesion", "rest"], exclusive=True)
    assert load_checkpoint(result / "model.pt")["segmentation_head.0.weight"].shape[0] == 3
    assert {row["structure"] for row in rows_of(result)} == {"lesion", "rest"}


def test_masks_of_mammograms_are_mirrored_and_cropped_along(tmp_path, data):
    path = ensure_phantoms(tmp_path / "dicom", 10, 5, 0, size=48, image_format="dicom", progress=False)
    content = json.loads(Path(path).read_text())
    content["training"] = [item for item in content["training"] if item["severity"] == 4]
    content["validation"] = [item for item in content["validation"] if item["severity"] == 4]
    loaded = {}
    for side in ("L", "R"):
        for file in Path(path).parent.glob("images/*.dcm"):
            dataset = pydicom.dcmread(file)
            dataset.ImageLaterality = side
            dataset.save_as(file)
        flow = workflow(
            tmp_path, data, datalist=given(Path(path).parent, content), mammography=True, image_size=48, resume=False
        )
        flow.initialize()
        loaded[side] = flow.parser.get_parsed_content("train::dataset")[0]
    for key in ("image", "mask"):
        assert torch.allclose(loaded["L"][key], loaded["R"][key].flip(1), atol=1e-5)
    image, mask = loaded["L"]["image"], loaded["L"]["mask"].bool()
    assert image[mask].mean() > 1.05 * image[mask.flip(1)].mean()
    full = np.asarray(Image.open(Path(path).parent / content["training"][0]["mask"]))
    assert loaded["L"]["mask"].sum() > 1.05 * (full > 0).sum()  # of the box, it covers a larger share


def test_volumes(tmp_path, data):
    folder = run(
        tmp_path,
        data,
        encoder=str(data / "encoder3.pt"),
        spatial_dims=3,
        batch_size=4,
        phantoms__image_format="nifti",
        phantoms__n_training=10,
        phantoms__n_validation=5,
        phantoms__n_test=5,
        train__trainer__max_epochs=1,
    )
    assert len(rows_of(folder)) == 10
    assert (folder / "overlays.png").is_file()


def test_windows(tmp_path, data):
    flow = workflow(tmp_path, data, WINDOWS, image_size=48, window=32, train__trainer__max_epochs=1)
    flow.initialize()
    batch = next(iter(flow.parser.get_parsed_content("train::dataloader")))
    images, masks = flow.parser.get_parsed_content("train::prepare_batch")(batch)
    assert batch["image"].shape[2:] == (48, 48)
    assert images.shape[2:] == masks.shape[2:] == (32, 32)
    flow.run()
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["window"] == 32
    assert len(rows_of(tmp_path / "run")) == 20


# ---------------------------------------------------------------- what a user gets wrong


def test_no_encoder(tmp_path, data):
    message = message_of(tmp_path, data, encoder=str(tmp_path / "none.pt"))
    assert "none.pt does not exist; run semise_pretrain first" in message
    flow = workflow(tmp_path, data, encoder="null")
    flow.initialize()
    state = flow.parser.get_parsed_content("network_def").encoder.state_dict()
    assert not torch.equal(state["conv1.weight"], load_checkpoint(data / "encoder2.pt")["conv1.weight"])


def test_encoder_of_another_architecture(tmp_path, data):
    message = message_of(tmp_path, data, backbone="resnet50")
    assert "encoder2.pt: layer1.0.conv1.weight has shape (64, 64, 3, 3) where" in message
    assert "(64, 64, 1, 1)" in message


def test_encoder_of_another_number_of_channels(tmp_path, data):
    message = message_of(tmp_path, data, in_channels=3)
    assert "conv1.weight has shape (64, 1, 7, 7)" in message
    assert "(64, 3, 7, 7)" in message


@pytest.mark.parametrize("section", ["training", "validation", "test"])
def test_mask_of_another_size(tmp_path, data, phantoms, section):
    folder, content = phantoms
    item = content[section][2]
    Image.new("L", (32, 31)).save(folder / item["mask"])
    message = message_of(tmp_path, data, datalist=given(folder, content))
    assert (
        f"{folder / item['mask']}: the mask has size 32 x 31 and its image {folder / item['image']} 32 x 32" in message
    )


def test_missing_mask_file(tmp_path, data, phantoms):
    folder, content = phantoms
    (folder / content["validation"][3]["mask"]).unlink()
    assert "validation[3].mask: " in message_of(tmp_path, data, datalist=given(folder, content))


def test_masks_without_anything_to_learn(tmp_path, data, phantoms):
    folder, content = phantoms
    for item in content["training"]:
        item["mask"] = [None]
    assert "training: no mask shows lesion" in message_of(tmp_path, data, datalist=given(folder, content))
    for item in content["training"]:
        del item["mask"]
    message = message_of(tmp_path, data, datalist=given(folder, content))
    assert "training: none of 10 images has a mask" in message


def test_number_of_masks(tmp_path, data, phantoms):
    folder, content = phantoms
    content["training"][1]["mask"] = [content["training"][1]["mask"], None]
    assert "has 2 masks where there are 1 structures (lesion)" in message_of(
        tmp_path, data, datalist=given(folder, content)
    )


def test_misspelt_setting(tmp_path, data):
    assert 'unknown setting "exclusiv"; did you mean "exclusive"?' in message_of(tmp_path, data, exclusiv=True)


# ---------------------------------------------------------------- the config itself


def test_bundle_properties_are_complete(tmp_path, data):
    flow = workflow(tmp_path, data)
    flow.initialize()
    assert flow.check_properties() == []


def test_every_setting_is_documented():
    page = (ROOT / "docs" / "settings.md").read_text().split("# Settings of `semise_segmentation`")[1].split("\n# ")[0]
    internal = {"imports", "bundle_root", "data", "annotated", "settings", "network", "load", "_desc_", "memory_format"}
    for file in (CONFIG, WINDOWS):
        config = json.loads(file.read_text())
        settings = [key for key, value in config.items() if not isinstance(value, dict) and "::" not in key]
        settings = [key for key in settings if key not in internal | {"initialize", "run"}]
        assert len(settings) > (20 if file is CONFIG else 0)
        assert [key for key in settings if f"`{key}`" not in page] == []


def test_preprocessing_is_that_of_pretraining():
    """Of images; masks are mirrored and cropped along."""
    own = json.loads(CONFIG.read_text())["load"]["transforms"]
    pretraining = json.loads((ROOT / "bundles" / "semise_pretrain.json").read_text())["train"]["preprocessing"]
    images = [{**step, "keys": "image"} for step in own[:-1] if step["keys"] != "mask"]
    assert images == pretraining["transforms"][:-1]
    assert [step["_target_"].rpartition(".")[2] for step in own if step["keys"] == ["image", "mask"]] == [
        "MirrorRightBreastd",
        "CropBreastd",
        "EnsureTyped",
    ]
    assert not re.search(r'"/', CONFIG.read_text())
