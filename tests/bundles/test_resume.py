# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""A run killed with SIGKILL and started again ends with the weights of an uninterrupted one."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
import torch

from monai_semise.utils import find_semise_error
from tests.bundles.harness import command, run, run_command, weights

LONG = {"train__trainer__max_epochs": 4, "discriminate__trainer__max_epochs": 2}
ENV = {**os.environ, "OMP_NUM_THREADS": "1"}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = run_command(folder, **LONG)
    assert done.returncode == 0, done.stderr
    return folder


def kill_when(folder, exists, delay):
    """Start the run, wait for a file, and kill it ``delay`` seconds later."""
    process = subprocess.Popen(
        command(folder, **LONG), cwd=folder, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (folder / "run" / exists).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (folder / "run" / exists).exists()
    time.sleep(delay)
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return running


def test_killed_in_each_phase_and_started_again(uninterrupted, tmp_path):
    assert kill_when(tmp_path, "checkpoints/discriminate_last.pt", delay=0.05)
    assert kill_when(tmp_path, "checkpoints/train_last.pt", delay=0.3)
    done = run_command(tmp_path, **LONG)
    assert done.returncode == 0, done.stderr
    assert "resumed after epoch" in done.stdout
    whole, resumed = uninterrupted / "run", tmp_path / "run"
    for file in ("model.pt", "encoder.pt", "checkpoints/train_best.pt"):
        assert same(weights(whole / file), weights(resumed / file)), file
    last = [torch.load(folder / "checkpoints" / "train_last.pt", weights_only=True) for folder in (whole, resumed)]
    assert same(last[0]["network"], last[1]["network"])
    assert last[0]["best_metric_epoch"] == last[1]["best_metric_epoch"]
    logs = [
        [line.split(",")[:4] for line in (folder / "log.csv").read_text().splitlines()] for folder in (whole, resumed)
    ]
    assert logs[0] == logs[1]


def test_finished_run_started_again_trains_nothing_and_keeps_its_results(uninterrupted):
    before = weights(uninterrupted / "run" / "model.pt")
    done = run_command(uninterrupted, **LONG)
    assert done.returncode == 0, done.stderr
    assert "epoch 4/4: loss" not in done.stdout
    assert same(before, weights(uninterrupted / "run" / "model.pt"))


def test_other_settings_do_not_resume(tmp_path):
    run(tmp_path)
    with pytest.raises(RuntimeError) as raised:
        run(tmp_path, alpha=0.9)
    message = str(find_semise_error(raised.value))
    assert "alpha = 0.5" in message
    assert "0.9" in message
    assert "--resume False" in message
    folder = run(tmp_path, alpha=0.9, resume=False)
    last = torch.load(folder / "checkpoints" / "train_last.pt", weights_only=True)
    assert last["settings"]["alpha"] == "0.9"


def test_number_of_loader_workers_changes_nothing(tmp_path):
    alone, helped = (run(tmp_path / str(n), num_workers=n) for n in (0, 2))
    assert same(weights(alone / "model.pt"), weights(helped / "model.pt"))
