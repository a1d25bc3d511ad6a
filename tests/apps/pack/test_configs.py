# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import pytest
from monai.bundle import ConfigParser

from monai_semise.apps.pack.configs import LOCAL, inference_config, metadata, training_config
from monai_semise.apps.pack.kinds import KINDS
from monai_semise.transforms import RandBatchAugment, augment_config
from monai_semise.utils import InputError
from tests.apps.pack.runs import BUNDLES

BASE = json.loads((BUNDLES / "metadata.json").read_text())
SETTINGS = {
    "spatial_dims": 2,
    "in_channels": 3,
    "image_size": [32, 48],
    "embedding_dim": 16,
    "separate_heads": True,
    "grade_names": ["healthy", "mild", "severe"],
    "head": "softmax",
    "structures": ["disc", "cup"],
    "exclusive": False,
}


def shipped(name):
    return json.loads((BUNDLES / f"{name}.json").read_text())


@pytest.mark.parametrize("name", KINDS)
def test_training_config_is_the_shipped_one_but_for_settings(name):
    config = training_config([BUNDLES / f"{name}.json"], {"batch_size": 7, "bundle": name})
    expected = shipped(name)
    assert config["initialize"] == []
    assert [step for step in config["run"] if step in expected["initialize"] + expected["run"]] == [
        *expected["initialize"],
        *expected["run"],
    ]
    changed = {key for key in expected if config[key] != expected[key]}
    assert changed - {"encoder", "network_def"} == {"batch_size", "initialize", "run"}
    assert config["batch_size"] == 7
    assert config.keys() == expected.keys()


@pytest.mark.parametrize("name", ["semise_classification", "semise_segmentation"])
def test_the_encoder_is_loaded_before_it_is_used(name):
    config = training_config([BUNDLES / f"{name}.json"], {})
    assert "encoder_weights" not in config["network_def"]
    (load,) = (n for n, step in enumerate(config["run"]) if "load_encoder_weights" in step)
    assert "set_determinism" in config["run"][load - 1]
    assert not any("@report" in step or "@train" in step for step in config["run"][:load])
    parser = ConfigParser({**config, "bundle_root": "/bundle"})
    assert parser.get_parsed_content("encoder") == "/bundle/models/encoder.pt"


@pytest.mark.parametrize(
    ("name", "own", "overlay"),
    [
        ("semise_pretrain", {"pairs": [None, 10, 1]}, "explicit_pairs.json"),
        ("semise_pretrain", {}, None),
        ("semise_classification", {"head": "corn"}, "classification/corn.json"),
        ("semise_classification", {"focal_gamma": 2.0}, "classification/focal.json"),
        ("semise_classification", {}, None),
        ("semise_segmentation", {"window": 24}, "segmentation/windows.json"),
        ("semise_segmentation", {}, None),
    ],
)
def test_overlay_of_the_run(name, own, overlay):
    settings = {**SETTINGS, **own}
    assert KINDS[name].overlay(settings) == overlay
    if overlay is None:
        return
    shared = {key: value for key, value in settings.items() if key not in LOCAL}
    config = training_config([BUNDLES / f"{name}.json", BUNDLES / overlay], shared)
    assert "_desc_" not in config
    for key, value in json.loads((BUNDLES / overlay).read_text()).items():
        if key not in shared and key != "_desc_":
            assert ConfigParser(config)[key] == value
    assert config.get("window") == own.get("window")


def test_grades_come_from_the_run_where_the_network_depends_on_them():
    """A pretraining has grades for its report alone, and another data set may have others."""
    for name, expected in (("semise_classification", ["a", "b"]), ("semise_pretrain", shipped("semise_pretrain"))):
        config = training_config([BUNDLES / f"{name}.json"], {"grade_names": ["a", "b"]})
        assert config["grade_names"] == (expected if isinstance(expected, list) else expected["grade_names"])


@pytest.mark.parametrize("name", [kind.inference for kind in KINDS.values()])
def test_inference_config(name):
    expected = shipped(name)
    wanted = [key for key, value in expected.items() if "@trained" in json.dumps(value)]
    settings = {key: f"of the run: {key}" for key in wanted}
    config = inference_config(BUNDLES / f"{name}.json", {**settings, "seed": 3})
    assert {key: config[key] for key in wanted} == settings
    assert "trained" not in json.dumps(config)
    assert config["run"] == expected["initialize"] + expected["run"]
    assert config.keys() == expected.keys() - {"trained"}
    assert ConfigParser({**config, "bundle_root": "/bundle"}).get_parsed_content("run_dir") == "/bundle/models"
    required = [key for key in wanted if expected[key] == f"$@trained['{key}']"]
    with pytest.raises(InputError, match=f"lack {required[-1]}; train again"):
        inference_config(BUNDLES / f"{name}.json", dict.fromkeys(required[:-1], 0))
    config = inference_config(BUNDLES / f"{name}.json", dict.fromkeys(required, 0))
    assert {key: config[key] for key in wanted if key not in required} == dict.fromkeys(set(wanted) - set(required))


def tensors(name, **settings):
    found = metadata(BASE, KINDS[name], {**SETTINGS, **settings}, "0.1.0")["network_data_format"]
    return found["inputs"]["image"], found["outputs"]["pred"]


def test_format_of_the_image():
    image, _ = tensors("semise_pretrain")
    assert image["num_channels"] == 3
    assert image["spatial_shape"] == [32, 48]
    assert image["channel_def"] == {"0": "channel 0", "1": "channel 1", "2": "channel 2"}
    assert tensors("semise_pretrain", image_size=64, spatial_dims=3)[0]["spatial_shape"] == [64, 64, 64]


@pytest.mark.parametrize(
    ("name", "settings", "shape", "channels"),
    [
        ("semise_pretrain", {}, [16], 3),
        ("semise_pretrain", {"separate_heads": False}, [16], 2),
        ("semise_pretrain", {"n_grades": 3}, [16], 4),
        ("semise_pretrain", {"separate_heads": False, "n_grades": 3}, [16], 4),
        ("semise_classification", {}, [], ["logit of healthy", "logit of mild", "logit of severe"]),
        (
            "semise_classification",
            {"head": "corn"},
            [],
            ["logit of worse than healthy, given at least healthy", "logit of worse than mild, given at least mild"],
        ),
        ("semise_segmentation", {}, [32, 48], ["logit of disc", "logit of cup"]),
        (
            "semise_segmentation",
            {"exclusive": True},
            [32, 48],
            ["logit of background", "logit of disc", "logit of cup"],
        ),
    ],
)
def test_format_of_the_output(name, settings, shape, channels):
    _, output = tensors(name, **settings)
    assert output["spatial_shape"] == shape
    names = list(output["channel_def"].values())
    assert output["num_channels"] == len(names)
    assert (len(names) if isinstance(channels, int) else names) == channels


def test_a_run_on_windows():
    image, output = tensors("semise_segmentation", window=24)
    assert image["spatial_shape"] == output["spatial_shape"] == [24, 24]
    assert image["is_patch_data"] is output["is_patch_data"] is True


@pytest.mark.parametrize("name", KINDS)
def test_the_augmentation_is_the_runs(name):
    own = augment_config(RandBatchAugment(flip_axes=(0,), rotation=5))
    config = training_config([BUNDLES / f"{name}.json"], {"augment": json.loads(json.dumps(own))})
    augment = ConfigParser(config).get_parsed_content("augment")
    assert (augment.flip_axes, augment.rotation) == ((0,), 5)
    unknown = training_config([BUNDLES / f"{name}.json"], {"augment": None})
    assert unknown["augment"] == shipped(name)["augment"]
