# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from PIL import Image

from monai_semise.__main__ import main
from monai_semise.apps.compare.thumbnail_forest import ThumbnailForest
from tests.bundles.harness import ROOT

SETTINGS = (
    "backbone=resnet10",
    "image_size=32",
    "embedding_dim=16",
    "batch_size=12",
    "hidden_channels=[16,8]",
    "decoder_channels=[16,16,8,8,8]",
    "n_resamples=20",
)


@pytest.fixture
def bundles(tmp_path):
    """The shipped configs with two methods that work and one that does not."""
    folder = shutil.copytree(ROOT / "bundles", tmp_path / "bundles")
    for file in (folder / "methods").iterdir():
        if file.stem not in ("simclr", "semise"):
            file.unlink()
    (folder / "methods" / "bad.json").write_text('{"train::sampler": {"_target_": "monai_semise.data.NoSuch"}}')
    (folder / "methods" / "later.json").write_text('{"_desc_": "<i>not yet</i>"}')
    return folder


def options(datalist, out, bundles, *more):
    given = [part for setting in SETTINGS for part in ("--set", setting)]
    epochs = ["--epochs", "2", "--classification_epochs", "1", "--segmentation_epochs", "1"]
    return [
        *("compare", "--datalist", str(datalist), "--out", str(out), "--bundles", str(bundles)),
        *("--methods", "simclr,semise,bad", "--seeds", "2", "--n_resamples", "50", *epochs, *given, *more),
    ]


def test_kill_resume_and_results(phantoms, tmp_path, bundles, capsys, caplog, monkeypatch):
    out = tmp_path / "results"
    start = subprocess.Popen(
        [sys.executable, "-m", "monai_semise", *options(phantoms(), out, bundles)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    first = out / "runs" / "simclr" / "1" / "0" / "pretrain"
    deadline = time.monotonic() + 240
    while not (first.parent / "classification" / "stage.json").exists() and time.monotonic() < deadline:
        assert start.poll() is None
        time.sleep(0.1)
    # while it runs, nobody else may work there
    assert main(options(phantoms(), out, bundles)) == 1
    assert "still works in" in capsys.readouterr().err
    os.killpg(start.pid, signal.SIGKILL)
    start.wait()
    trained = (first / "model.pt").stat().st_mtime_ns

    assert main(options(phantoms(), out, bundles)) == 0
    said = capsys.readouterr()
    assert "comparison.html" in said.out
    assert (first / "model.pt").stat().st_mtime_ns == trained

    rows = list(csv.DictReader((out / "table1.csv").open(newline="")))
    measures = {(row["method"], row["measure"]): row for row in rows}
    for method in ("simclr", "semise", "constant-majority", "stratified-random", "thumbnail-forest"):
        assert measures[method, "macro_f1"]["runs"] == "2"
        assert 0 <= float(measures[method, "macro_f1"]["mean"]) <= 1
    assert "NoSuch" in measures["bad", ""]["note"]
    assert measures["later", ""]["note"] == "not run"
    segmentation = {row["method"]: row for row in csv.DictReader((out / "table2.csv").open(newline=""))}
    assert segmentation["semise"]["runs"] == segmentation["constant-mask"]["runs"] == "2"
    for stem in ("table1", "table2"):
        assert (out / f"{stem}.md").stat().st_size > 200 < (out / f"{stem}.tex").stat().st_size
    for picture in ("fig2_heat_maps.png", "embedding.png"):
        with Image.open(out / picture) as image:
            assert len(set(image.convert("L").resize((64, 64)).getdata())) > 20
    assert (out / "embedding.svg").read_text().startswith("<?xml")

    page = (out / "comparison.html").read_text()
    assert not re.search(r"<script|src=\"(?!data:)|href=\"(?!#)", page)
    assert "<i>not yet</i>" not in page
    assert "&lt;i&gt;not yet" in page
    content = json.loads((out / "comparison.json").read_text())
    assert [stage["state"] for stage in content["stages"]] == ["finished"] * 12 + ["failed"] * 6
    assert content["images_seen"].keys() == content["optimizer_steps"].keys() == {"simclr", "semise", "bad"}
    assert any(re.fullmatch(r"Steps of the optimizer: \d+ to \d+\.", line) for line in content["budget"])
    assert content["tables"]["table1"]["rows"][0]["measures"]["macro_f1"]["runs"]
    # neither patients nor images
    for file in (
        *out.glob("*.csv"),
        *out.glob("*.md"),
        *out.glob("*.tex"),
        out / "comparison.json",
        out / "comparison.html",
    ):
        assert not re.search(r"(training|validation|test)_\d", file.read_text()), file.name

    # a finished run that cannot be read any more, and a forest that cannot grow, are left out and named
    (first / "encoder.pt").unlink()
    (first.parent / "segmentation" / "model.pt").write_bytes(b"no checkpoint")
    (out / "runs" / "semise" / "1" / "1" / "classification" / "predictions.csv").unlink()
    monkeypatch.setattr(ThumbnailForest, "predict", Mock(side_effect=MemoryError("no room")))
    caplog.clear()
    assert main(options(phantoms(), out, bundles)) == 0
    page = (out / "comparison.html").read_text()
    for start in ("Embedding without simclr, 100 % of labels, seed 0", "Heat maps without simclr, 100 % of labels"):
        assert sum(message.startswith(start) for message in caplog.messages) == 1
        assert start in page
    assert "encoder.pt" in page
    assert {row["method"] for row in csv.DictReader((out / "embedding.csv").open(newline=""))} == {"semise"}
    assert (out / "fig2_heat_maps.svg").read_text().startswith("<?xml")
    rows = {row["method"]: row for row in csv.DictReader((out / "table1.csv").open(newline=""))}
    assert rows["thumbnail-forest"]["note"] == "failed: MemoryError: no room"
    assert rows["simclr"]["runs"] == "2"
    assert rows["semise"]["note"].startswith("1 of 2 runs; failed: its results cannot be read (FileNotFoundError")
    assert json.loads((out / "comparison.json").read_text())["date"] > content["date"]


def test_torchrun_hands_out_runs_once(phantoms, tmp_path, bundles):
    given = options(phantoms(), tmp_path / "results", bundles, "--dry_run")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    ran = subprocess.run([*torchrun, "-m", "monai_semise", *given], capture_output=True, text=True, check=True)
    assert ran.stdout.count("Budget: 2 passes over all") == 1
    assert ran.stderr.count("the first process of torchrun hands out the runs") == 1


def test_dry_run_does_nothing(phantoms, tmp_path, bundles, capsys):
    out = tmp_path / "results"
    assert main(options(phantoms(), out, bundles, "--dry_run", "--labelled", "0.5,1", "--alphas", "0.25")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not out.exists()
    commands = [line for line in lines if line.startswith("python -m monai.bundle run")]
    assert len(commands) == 3 * 4 * 3 + 4 * 2  # alphas are not segmented
    assert any("--alpha 0.25" in command for command in commands)
    assert all("--backbone resnet10" in command for command in commands)
    assert any("Budget: 2 passes over all" in line for line in lines)
    assert any("cannot run" in line and "NoSuch" in line for line in lines)


def test_what_a_second_start_replaces_is_said_before(phantoms, tmp_path, bundles, capsys, caplog):
    out = tmp_path / "results"
    given = ["--methods", "simclr", "--seeds", "1", "--no-segmentation"]
    assert main(options(phantoms(), out, bundles, *given)) == 0
    page = (out / "comparison.html").read_text()
    first = out / "runs" / "simclr" / "1" / "0" / "pretrain"
    trained = (first / "model.pt").stat().st_mtime_ns
    assert caplog.text == ""
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    given += ["--set", "num_workers=1"]
    assert main(options(phantoms(), link / "results", link / "bundles", *given)) == 0
    assert (first / "model.pt").stat().st_mtime_ns == trained
    assert caplog.text == ""

    (bundles / "methods" / "unreadable.json").write_text("{")
    given += ["--set", "temperature=0.3", "--set", "semise/alpha=0.3", "--set", "alpha=0.9"]
    given[1] = "simclr,semise"
    capsys.readouterr()
    assert main(options(phantoms(), out, bundles, *given, "--dry_run")) == 0
    lines = capsys.readouterr().out.splitlines()
    said = "replaced: 2. What changed, for how many: setting alpha (1), setting temperature (1), pretraining (1)."
    assert any(said in line for line in lines)
    assert "# --set semise/alpha=0.3 is for semise alone." in lines
    assert any("--set alpha=0.9 does not reach the pretraining of semise, whose overlay" in line for line in lines)
    assert (first / "model.pt").stat().st_mtime_ns == trained

    given[1] = "simclr"
    given += ["--set", "simclr/temperature=0.4"]
    del given[given.index("semise/alpha=0.3") - 1 : given.index("semise/alpha=0.3") + 1]
    assert main(options(phantoms(), out, bundles, *given)) == 0
    assert "folders replaced: 2" in caplog.text
    assert "--set simclr/temperature=0.4 is for simclr alone." in caplog.text
    assert (first / "model.pt").stat().st_mtime_ns != trained
    assert "simclr/temperature=0.4 is for simclr alone" in (out / "comparison.html").read_text() != page
    content = json.loads((out / "comparison.json").read_text())
    assert "--set simclr/temperature=0.4 is for simclr alone." in content["budget"]


def test_an_unreadable_method_is_a_row(phantoms, tmp_path, bundles, capsys):
    (bundles / "methods" / "later.json").write_text("{")
    assert main(options(phantoms(), tmp_path / "out", bundles, "--methods", "all", "--dry_run")) == 0
    assert "later, 100 % of labels, seed 0: pretrain (cannot run: method " in capsys.readouterr().out
    assert main(options(phantoms(), tmp_path / "out", bundles, "--methods", "later", "--dry_run")) == 1
    assert "later.json: cannot be read" in capsys.readouterr().err


def test_every_method_is_tuned_before_its_runs(phantoms, tmp_path, bundles, capsys):
    out = tmp_path / "results"
    given = ["--methods", "simclr,bad", "--no-segmentation", "--tune", "head_lr=0.001,0.02", "--tune_by", "maee"]
    assert main(options(phantoms(), out, bundles, *given, "--dry_run")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("python -m monai.bundle run") for line in lines) == 2 * 2 * 2
    assert lines[-1].startswith("# then all seeds with the settings chosen")

    assert main(options(phantoms(), out, bundles, *given)) == 0
    trials = list(csv.DictReader((out / "tuning.csv").open(newline="")))
    assert [(trial["method"], trial["settings"]) for trial in trials] == [
        (method, f"head_lr={rate}") for method in ("simclr", "bad") for rate in ("0.001", "0.02")
    ]
    simclr = trials[:2]
    assert sum(int(trial["chosen"]) for trial in simclr) == 1
    taken = min(simclr, key=lambda trial: float(trial["validation_maee"]))
    assert taken["chosen"] == "1"
    assert all("NoSuch" in trial["error"] for trial in trials[2:])
    content = json.loads((out / "comparison.json").read_text())
    runs = [s for s in content["stages"] if (s["method"], s["stage"]) == ("simclr", "pretrain")]
    rate = taken["settings"].partition("=")[2]
    trial = out / "tuning" / "runs" / f"simclr-{simclr.index(taken)}" / "1" / "0" / "pretrain" / "log.txt"
    logs = [out / "runs" / "simclr" / "1" / seed / "pretrain" / "log.txt" for seed in ("0", "1")]
    assert [log.read_bytes() == trial.read_bytes() for log in logs] == [True, False]
    assert [f"--head_lr {rate} " in run["command"] + " " for run in runs] == [True, True]
    assert any("every method tried 2 candidates" in line for line in content["budget"])
    row = next(row for row in content["tables"]["table1"]["rows"] if row["method"] == "bad")
    assert row["note"].startswith("failed: tuning: ")
    page = (out / "comparison.html").read_text()
    assert "<h2>Tuning</h2>" in page
    assert "head_lr=0.001" in page

    capsys.readouterr()
    assert main(options(phantoms(), out, bundles, *given, "--dry_run")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("simclr" in line and "(finished)" in line for line in lines) == 2 * 2 + 2 * 2


def test_bad_input_is_met_before_tuning(phantoms, tmp_path, bundles, capsys):
    out = tmp_path / "results"
    assert main(options(phantoms(), out, bundles, "--tune", "head_lr=0.001,0.02", "--alphas", "2")) == 1
    assert "alphas: 2 is not in [0, 1]" in capsys.readouterr().err
    assert main(options(phantoms(), out, bundles, "--tune", "head_lr=0.001,0.02", "--alphas", "2", "--dry_run")) == 1
    assert "alphas: 2 is not in [0, 1]" in capsys.readouterr().err
    assert not (out / "tuning").exists()


def test_the_overlay_is_laid_over_every_bundle_and_the_method_over_it(phantoms, tmp_path, bundles, capsys):
    fundus = bundles / "fundus.json"
    assert main(options(phantoms(), tmp_path / "out", bundles, "--dry_run", "--overlay", str(fundus))) == 0
    commands = [line for line in capsys.readouterr().out.splitlines() if line.startswith("python")]
    assert all(str(fundus) in command for command in commands)
    assert commands[0].index("fundus.json") < commands[0].index("simclr.json")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--methods", "simclr,semis"], 'methods: unknown method "semis"; did you mean "semise"?'),
        (["--labelled", "0,1"], "labelled: 0.0 is not a share in (0, 1]"),
        (["--labelled", "a"], "labelled: 'a' is not a list of numbers such as 0.25,1"),
        (["--alphas", "2"], "alphas: 2 is not in [0, 1]"),
        (["--beside", "b"], "beside: curves of other data sets stand beside that of --alphas, but none are given"),
        (["--alphas", "0,1", "--beside", "b"], "beside: b holds no finished comparison with --alphas"),
        (["--set", "backbon=resnet18"], 'set: no bundle has a setting "backbon"; did you mean "backbone"?'),
        (["--overlay", "none.json"], "none.json: does not exist"),
        (["--datalist", "none.json"], "datalist none.json: cannot be read"),
        (["--seeds", "0"], "seeds: 0 is less than 1"),
    ],
)
def test_bad_input_is_one_line(phantoms, tmp_path, bundles, capsys, more, message):
    assert main(options(phantoms(), tmp_path / "out", bundles, *more)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert error.startswith("Error: ")
    assert not Path(tmp_path / "out" / "runs").exists()
