# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json
import logging
import os
import shlex
import subprocess
import sys

import pytest
from PIL import Image

from monai_semise.__main__ import main
from tests.apps.pack import runs
from tests.bundles.harness import ROOT


@pytest.fixture
def run(tmp_path):
    return runs.untrained(tmp_path / "run of Ann")


def pack(run, tmp_path, *options):
    return main(["pack", "--run_dir", str(run), "--out", str(tmp_path / "out"), *options])


def test_the_printed_command_scores_images_in_any_folder(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)  # where bundles/ is
    out = tmp_path / "packed by Bob"
    assert main(["pack", "--run_dir", str(run), "--out", str(out)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"Packed {out / 'semise_severity_pretrain'}"
    images, empty = tmp_path / "images", tmp_path / "empty"
    for folder in (images, empty):
        folder.mkdir()
    for n in range(3):
        Image.radial_gradient("L").resize((40 + n, 40)).save(images / f"{n}.png")
    command = [
        sys.executable,
        *shlex.split(second.removeprefix("Try it: ").replace("<images>", shlex.quote(str(images))))[1:],
    ]
    done = subprocess.run(
        [*command, "--output_dir", "here"],
        cwd=empty,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(csv.DictReader((empty / "here" / "severity.csv").open()))) == 3
    assert [path.name for path in empty.iterdir()] == ["here"]


def test_options(run, tmp_path, caplog):
    bundles = str(ROOT / "bundles")
    assert pack(run, tmp_path, "--bundles", bundles, "--version", "2.0.0", "--export", "torchscript") == 0
    folder = tmp_path / "out" / "semise_severity_pretrain"
    assert json.loads((folder / "configs" / "metadata.json").read_text())["version"] == "2.0.0"
    assert {path.name for path in (folder / "models").iterdir()} == {
        "model.pt",
        "encoder.pt",
        "training_embeddings.pt",
        "model.ts",
    }
    assert caplog.records == []  # MONAI's name files that are gone
    assert logging.getLogger("monai.bundle.scripts").isEnabledFor(logging.INFO)


def test_bad_input_is_one_line(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert pack(run, tmp_path) == 1
    assert capsys.readouterr().err.startswith(
        "Error: bundles: bundles/semise_pretrain.json does not exist; name the folder"
    )
    assert pack(tmp_path, tmp_path) == 1
    assert "holds no settings.json" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        pack(run, tmp_path, "--export", "tensorrt")
    assert ended.value.code == 2
    assert "invalid choice: 'tensorrt'" in capsys.readouterr().err
