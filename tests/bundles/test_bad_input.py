# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What a user gets wrong: each a message that names it, and nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from monai_semise.data import ensure_phantoms
from monai_semise.utils import find_semise_error
from tests.bundles.harness import ROOT, run, run_command, workflow


@pytest.fixture
def phantoms(tmp_path):
    """A small set of its own, as (folder, content of the datalist)."""
    path = ensure_phantoms(tmp_path / "own", n_training=20, n_validation=10, n_test=5, size=32, progress=False)
    folder = tmp_path / "set"
    shutil.move(os.path.dirname(path), folder)
    return folder, json.loads((folder / "datalist.json").read_text())


def message_of(tmp_path, folder, content, **override):
    """The message that a run on this datalist ends with."""
    (folder / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(Exception) as raised:  # noqa: PT011 (MONAI wraps it)
        run(tmp_path, datalist=str(folder / "datalist.json"), **override)
    error = find_semise_error(raised.value)
    assert error is not None, raised.value
    return str(error)


def test_missing_image(tmp_path, phantoms):
    folder, content = phantoms
    content["training"][2]["image"] = "images/nowhere.png"
    assert "training[2].image" in message_of(tmp_path, folder, content)


def test_a_grade_beyond_the_scale(tmp_path, phantoms):
    message = message_of(tmp_path, *phantoms, ordinal_weight=1.0, n_grades=4)
    assert "severity 4 is outside the scale of 4 grades" in message
    assert "--n_grades" in message
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_more_grades_than_dimensions(tmp_path, phantoms):
    message = message_of(tmp_path, *phantoms, ordinal_weight=1.0, n_grades=30)
    assert "got 30 with embedding_dim 16" in message


@pytest.mark.parametrize("section", ["training", "validation", "test"])
def test_truncated_image_is_found_before_training(tmp_path, phantoms, section):
    folder, content = phantoms
    file = folder / content[section][1]["image"]
    file.write_bytes(file.read_bytes()[:200])
    message = message_of(tmp_path, folder, content)
    assert str(file) in message
    assert "cannot be read" in message
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_mixed_channels(tmp_path, phantoms):
    folder, content = phantoms
    file = folder / content["training"][1]["image"]
    Image.open(file).convert("RGB").save(file)
    message = message_of(tmp_path, folder, content)
    assert str(file) in message
    assert "3 channel(s) found where in_channels is 1" in message


def test_mixed_sizes_are_resized(tmp_path, phantoms):
    folder, content = phantoms
    file = folder / content["training"][1]["image"]
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)).save(file)
    (folder / "datalist.json").write_text(json.dumps(content))
    assert (run(tmp_path, datalist=str(folder / "datalist.json")) / "model.pt").is_file()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda c: c["training"][3].update(severity=1.5), "training[3].severity: 1.5 is not a whole number"),
        (lambda c: c["training"][3].update(severity=-2), "training[3].severity: -2 is negative"),
        (lambda c: [i.update(severity=2) for i in c["training"]], "no healthy training image"),
        (lambda c: [i.update(severity=0) for i in c["training"]], "all training images have severity 0"),
        (lambda c: c["test"][0].update(group=c["training"][0]["group"]), "test[0].group"),
        (lambda c: c.update(training=[]), "training section is empty"),
        (lambda c: c.update(validation=[]), "validation section is empty"),
        (lambda c: c.clear(), "expected an object with the lists"),
        (
            lambda c: [i.update(severity=1) for i in c["validation"]],
            "validation: cannot draw pairs: the graded images have severity 1 only",
        ),
    ],
    ids=["fraction", "negative", "no-healthy", "one-grade", "leak", "no-training", "no-validation", "empty", "no-pair"],
)
def test_datalist(tmp_path, phantoms, change, found):
    folder, content = phantoms
    change(content)
    assert found in message_of(tmp_path, folder, content)


def test_pairs_naming_an_unknown_image(tmp_path, phantoms):
    folder, content = phantoms
    known = content["training"][1]["image"]
    (folder / "pairs.csv").write_text(f"image_a,image_b,winner\n{known},images/unknown.png,a\n")
    (folder / "datalist.json").write_text(json.dumps(content))
    settings = {"datalist": str(folder / "datalist.json"), "pairs_file": str(folder / "pairs.csv")}
    with pytest.raises(RuntimeError) as raised:
        run(tmp_path, ROOT / "bundles" / "explicit_pairs.json", **settings)
    message = str(find_semise_error(raised.value))
    assert "row 2, image_b" in message
    assert "images/unknown.png" in message


def test_output_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = run_command(tmp_path, output_dir=str(tmp_path / "file" / "run"))
    assert done.returncode == 1
    assert done.stderr.rstrip().splitlines()[-2].startswith("Error: output_dir: cannot write to")
    assert "Traceback" not in done.stderr


def test_batch_too_small(tmp_path):
    with pytest.raises(RuntimeError) as raised:
        run(tmp_path, batch_size=1)
    assert "batch_size: 1 is too small" in str(find_semise_error(raised.value))


def test_nan_loss_stops_names_the_batch_and_keeps_the_last_good_checkpoint(tmp_path):
    flow = workflow(tmp_path)
    flow.initialize()
    trainer = flow.parser.get_parsed_content("train::trainer")
    loss = flow.parser.get_parsed_content("train::loss")
    trained = loss.forward

    def diverge_in_the_second_epoch(*args):
        return trained(*args) * (float("nan") if trainer.state.epoch == 2 else 1.0)

    loss.forward = diverge_in_the_second_epoch
    with pytest.raises(RuntimeError) as raised:
        flow.run()
    message = str(find_semise_error(raised.value))
    assert "became nan in epoch 2" in message
    assert ".png" in message
    last = torch.load(tmp_path / "run" / "checkpoints" / "train_last.pt", weights_only=True)
    assert last["epoch"] == 1
    assert all(value.isfinite().all() for value in last["network"].values())


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("--alhpa", '"alpha"'),
        ("--train::trainer::max_epoch", '"train::trainer::max_epochs"'),
        ("--encoder_learning_rate", "unknown setting"),
        ("--discriminate::optimizer::momentun", '"discriminate::optimizer::momentum"'),
    ],
)
def test_misspelt_setting_on_the_command_line(tmp_path, option, meant):
    config = ROOT / "bundles" / "semise_pretrain.json"
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", "--config_file", config, option, "0.7"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    last = next(line for line in done.stderr.splitlines() if line.startswith("Error: "))
    assert f'unknown setting "{option[2:]}"' in last
    assert meant in last
    assert not (tmp_path / "runs").exists()
