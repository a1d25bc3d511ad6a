# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The whole path on volumes: a ResNet-10 on phantoms of 16 voxels, as NIfTI and as DICOM series."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.networks.nets import FlexibleUNet
from PIL import Image
from scipy import ndimage

from monai_semise.data import ensure_phantoms, load_datalist
from monai_semise.utils import find_semise_error
from tests.bundles.harness import ROOT, run, weights, workflow

PAIRS = ROOT / "bundles" / "explicit_pairs.json"
RUNS = {
    "nifti": ((), {"phantoms__image_format": "nifti"}),
    "dicom_series": ((), {"phantoms__image_format": "dicom_series"}),
    "explicit_pairs": ((PAIRS,), {"phantoms__image_format": "dicom_series", "n_training_pairs": 48}),
}
"""Overlays and settings of each run."""


def volume_settings(**settings):
    sizes = {"phantoms__n_training": 45, "phantoms__n_validation": 20, "phantoms__n_test": 40}
    return {"spatial_dims": 3, "image_size": 16, "phantoms__size": 16, **sizes, **settings}


def rows(path):
    return list(csv.DictReader(path.open()))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Output folder of a finished run, trained once: ``trained("nifti")``."""
    finished: dict[str, Path] = {}

    def train(name):
        if name not in finished:
            overlays, settings = RUNS[name]
            finished[name] = run(tmp_path_factory.mktemp(name), *overlays, **volume_settings(**settings))
        return finished[name]

    return train


# ---------------------------------------------------------------- training


@pytest.mark.parametrize("name", RUNS)
def test_learns_to_rank_volumes_it_has_not_seen(trained, name):
    folder = trained(name)
    summary = json.loads((folder / "summary.json").read_text())["test"]
    assert summary["images"] == 40
    assert summary["pair_accuracy_with_healthy"] > 0.65  # untrained 0.2 to 0.7, trained 0.81 to 0.88 for seeds 0 to 4
    log = rows(folder / "log.csv")
    assert all(math.isfinite(float(value)) for row in log for key, value in row.items() if key != "phase" and value)
    _, first, second = log
    for term in ("loss", "nt_xent", "preference"):
        assert float(second[term]) < float(first[term])


def test_series_train_as_the_same_volumes_in_nifti(trained):
    nifti, series = (rows(trained(name) / "severity.csv") for name in ("nifti", "dicom_series"))
    assert [float(row["score"]) for row in series] == pytest.approx([float(row["score"]) for row in nifti], abs=1e-4)


@pytest.mark.parametrize("name", RUNS)
def test_report(trained, name):
    folder = trained(name)
    datalist = load_datalist(next((folder.parent / "data").glob("*/datalist.json")))
    expected = [item["image"] for section in ("validation", "test") for item in datalist[section]]
    scored = rows(folder / "severity.csv")
    assert [row["image"] for row in scored] == expected
    assert all(0 <= float(row["score"]) <= 2 for row in scored)
    assert Path(expected[0]).is_dir() is (name != "nifti")
    with Image.open(folder / "embedding.png") as picture:
        assert min(picture.size) > 300
        assert len(picture.convert("L").getcolors(256) or range(257)) > 20


def test_saved_encoder_starts_a_unet(trained):
    folder = trained("dicom_series")
    options = {"in_channels": 1, "out_channels": 2, "backbone": "semise-resnet10", "spatial_dims": 3}
    unet = FlexibleUNet(**options, pretrained=str(folder / "encoder.pt")).eval()
    saved = weights(folder / "model.pt")
    state = unet.encoder.state_dict()
    assert state["conv1.weight"].shape == (64, 1, 7, 7, 7)
    assert all(torch.equal(value, saved[f"encoder.{key}"]) for key, value in state.items())
    with torch.inference_mode():
        assert unet(torch.rand(1, 1, 32, 32, 32)).shape == (1, 2, 32, 32, 32)


# ---------------------------------------------------------------- volumes as they come


def save(path, array, spacing=(1.0, 1.0, 1.0)):
    nib.save(nib.Nifti1Image(array.astype(np.float32), np.diag([*spacing, 1.0])), path)


@pytest.fixture
def uneven(tmp_path):
    """A datalist of volumes of unequal shape and spacing, NIfTI and DICOM series mixed."""
    sizes = {"n_training": 20, "n_validation": 10, "n_test": 5, "progress": False}
    content = {"training": [], "validation": [], "test": []}
    for image_format, size in (("dicom_series", 15), ("nifti", 25)):
        path = Path(ensure_phantoms(tmp_path, size=size, image_format=image_format, **sizes))
        for section, items in content.items():
            items += [{**item, "group": None} for item in load_datalist(path)[section][len(items) :: 2]]
    for item, step in zip(content["training"][-4:], ((1, 1, 5), (2, 3, 1), (1, 1, 7), (4, 1, 2))):
        volume = np.asarray(nib.load(item["image"]).dataobj)
        save(item["image"], volume[tuple(slice(None, None, n) for n in step)], spacing=step)
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    return tmp_path / "datalist.json"


def message_of(folder, datalist, **settings):
    """The message that a run on this datalist ends with."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 (MONAI wraps it)
        workflow(folder, **volume_settings(datalist=str(datalist), **settings)).initialize()
    return str(find_semise_error(raised.value))


def test_volumes_of_unequal_shape_and_spacing_are_resized_to_one_grid(tmp_path, uneven):
    """To one that is no cube, as suits volumes of few slices."""
    grid = (16, 20, 8)
    flow = workflow(tmp_path, **volume_settings(datalist=str(uneven), image_size=list(grid)))
    flow.initialize()
    images = flow.parser.get_parsed_content("images")
    shapes = set()
    for item in images:
        image = item["image"][0].numpy()
        assert image.shape == grid
        assert (image.min(), image.max()) == (0, 1)
        if not Path(item["image_path"]).is_dir():
            source = nib.load(item["image_path"]).get_fdata()
            shapes.add(source.shape)
            expected = ndimage.zoom(source, np.divide(grid, source.shape), order=1, grid_mode=True, mode="nearest")
            assert np.corrcoef(image.ravel(), expected.ravel())[0, 1] > 0.9
    assert len(shapes) == 5
    flow.run()
    assert (tmp_path / "run" / "model.pt").is_file()


def test_resizing_averages_the_voxels_of_a_volume_up_to_its_border(tmp_path):
    """And smooths no further, which would darken the border, blur lesions and take minutes for a large volume."""
    volume = np.random.default_rng(0).random((32, 48, 64))
    save(tmp_path / "volume.nii.gz", volume)
    preprocess = workflow(tmp_path, **volume_settings()).parser.get_parsed_content("train::preprocessing")
    found = preprocess({"image": str(tmp_path / "volume.nii.gz"), "severity": 0, "index": 0})["image"][0].numpy()
    mean = volume.reshape(16, 2, 16, 3, 16, 4).mean(axis=(1, 3, 5))
    assert np.allclose(found, (mean - mean.min()) / np.ptp(mean), atol=1e-5)


def test_time_series_is_refused(tmp_path, uneven):
    content = json.loads(uneven.read_text())
    file = content["training"][-1]["image"]
    save(file, np.random.default_rng(0).random((12, 12, 12, 5)))
    message = message_of(tmp_path, uneven)
    assert file in message
    assert "5 channel(s) found where in_channels is 1" in message


def test_image_is_refused_where_volumes_are_expected(tmp_path, uneven):
    content = json.loads(uneven.read_text())
    file = content["validation"][-1]["image"]
    save(file, np.random.default_rng(0).random((12, 12)))
    message = message_of(tmp_path, uneven)
    assert file in message
    assert "2 axes where spatial_dims is 3" in message


def test_volumes_are_refused_where_images_are_expected(tmp_path, uneven):
    assert "3 axes where spatial_dims is 2" in message_of(tmp_path, uneven, spatial_dims=2)
