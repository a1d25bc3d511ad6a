# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""DICOM series in folders, as a user has them, to a datalist, an encoder, grades and a ranked worklist."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow

from monai_semise.__main__ import main
from monai_semise.data import ensure_phantoms, load_datalist
from tests.bundles import harness
from tests.bundles.harness import ROOT

GRADES = ("healthy", "mild", "moderate", "severe", "very severe")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``data/<grade>/<patient>/*.dcm``, without anything else."""
    folder = tmp_path_factory.mktemp("volumes")
    source = ensure_phantoms(
        folder / "phantoms", 60, 1, 1, unlabelled_fraction=0, size=16, image_format="dicom_series", progress=False
    )
    for item in load_datalist(source)["training"]:
        shutil.copytree(item["image"], folder / "data" / GRADES[item["severity"]] / item["group"])
    return folder


@pytest.fixture(scope="module")
def datalist(folder):
    out = folder / "datalist.json"
    arguments = ["--root", str(folder / "data"), "--out", str(out), "--spatial-dims", "3"]
    assert main(["datalist", "folder", *arguments, "--grades", ",".join(GRADES)]) == 0
    return out


@pytest.fixture(scope="module")
def pretrained(folder, datalist):
    return harness.run(folder / "pretrained", datalist=str(datalist), spatial_dims=3, image_size=16)


def workflow(name, kind, **settings):
    config = ROOT / "bundles" / f"{name}.json"
    flow = ConfigWorkflow([str(config)], logging_file=False, workflow_type=kind, **settings)
    flow.initialize()
    flow.run()


def test_datalist(folder, datalist):
    sections = load_datalist(datalist)
    assert [len(sections[name]) for name in ("training", "validation", "test")] == [42, 9, 9]
    for item in sections["training"] + sections["validation"] + sections["test"]:
        path = Path(item["image"])
        assert path.is_dir()
        assert path.parent.name == GRADES[item["severity"]]
    text = datalist.read_text()
    assert json.loads(text)["grades"] == list(GRADES)
    assert "Phantom" not in text


def test_severity_of_new_volumes(pretrained, folder, tmp_path):
    settings = {"run_dir": str(pretrained), "input": str(folder / "data" / "severe"), "output_dir": str(tmp_path)}
    workflow("semise_severity_inference", "infer", n_shown=2, **settings)
    rows = list(csv.DictReader((tmp_path / "worklist.csv").open()))
    assert sorted(row["image"] for row in rows) == sorted(map(str, (folder / "data" / "severe").iterdir()))
    assert (tmp_path / "heat_maps" / "001.png").is_file()


def test_classification(pretrained, datalist, tmp_path):
    workflow(
        "semise_classification",
        "train",
        datalist=str(datalist),
        encoder=str(pretrained / "encoder.pt"),
        backbone="resnet10",
        spatial_dims=3,
        image_size=16,
        n_resamples=50,
        output_dir=str(tmp_path),
        **{"train::trainer::max_epochs": 5},
    )
    rows = list(csv.DictReader((tmp_path / "predictions.csv").open()))
    assert len(rows) == 18
