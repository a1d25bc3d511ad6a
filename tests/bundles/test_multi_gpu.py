# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""``bundles/multi_gpu.json`` under torchrun, on the CPU: several processes against one."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.bundles.harness import CONFIG, command, run_command, weights

OVERLAY = CONFIG.parent / "multi_gpu.json"
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
SAME_DRAWS = {
    "views": "['original','original']",  # the draws of an augmentation differ among processes
    "frozen_norm": True,  # synchronized statistics are for GPUs
    "phantoms__n_training": 40,
    "batch_size": 8,
    "discriminate__trainer__max_epochs": 1,
    "train__trainer__max_epochs": 1,
    "val_interval": 1,
    "resume": False,
    "n_resamples": 10,
}
"""Five steps of each phase, phase 1 with frozen norm too."""


def test_the_overlay_drops_no_step_of_the_start():
    one, several = (json.loads(file.read_text(encoding="utf-8"))["initialize"] for file in (CONFIG, OVERLAY))
    assert [step for step in several if step in one] == one


def torchrun(n_processes: int, folder: Path, *options: str, **override) -> list[str]:
    started = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={n_processes}", *options]
    own = command(folder, OVERLAY, **override)
    return [sys.executable, *started, *own[1:]]


def run_processes(n_processes: int, folder: Path, **override) -> subprocess.CompletedProcess:
    return subprocess.run(
        torchrun(n_processes, folder, **override),
        cwd=folder,
        env=ENV,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def one(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("one")
    done = run_command(folder, dataset_dir=data, augment="$lambda images: images", **SAME_DRAWS)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def log(folder: Path) -> list[dict[str, str]]:
    with open(folder / "log.csv", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("n_processes", [2, 4])
def test_several_processes_are_one_with_the_whole_batch(one, tmp_path, data, n_processes):
    done = run_processes(n_processes, tmp_path, dataset_dir=data, augment="$lambda images: images", **SAME_DRAWS)
    assert done.returncode == 0, done.stderr
    ours = tmp_path / "run"
    for phase in ("discriminate", "train"):
        found, expected = (weights(run / f"checkpoints/{phase}_last.pt")["network"] for run in (ours, one))
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
    for a, b in zip(log(ours), log(one), strict=True):
        assert a.keys() == b.keys()
        for measure in ("loss", "pair_accuracy", "kendall_tau"):
            if a[measure]:
                assert float(a[measure]) == pytest.approx(float(b[measure]), rel=1e-3)
    assert {file.name for file in ours.iterdir()} == {file.name for file in one.iterdir()}
    assert len(list((ours / "tensorboard" / "train").iterdir())) == 1  # one writer


def workers(process: subprocess.Popen) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def kill_a_worker(process: subprocess.Popen, checkpoint: Path) -> None:
    """SIGKILL for the last rank, once the checkpoint is there."""
    deadline = time.monotonic() + 240
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert checkpoint.exists()
    os.kill(workers(process)[-1], signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
@pytest.mark.parametrize("restarts", [0, 1])
def test_a_killed_rank_ends_the_job_or_is_started_anew(tmp_path, data, restarts):
    settings = {"dataset_dir": data, "batch_size": 12, "train__trainer__max_epochs": 6, "n_resamples": 10}
    start = torchrun(2, tmp_path, f"--max-restarts={restarts}", **settings)
    with open(tmp_path / "out.txt", "w") as out:
        process = subprocess.Popen(start, cwd=tmp_path, env=ENV, stdout=out, stderr=subprocess.STDOUT)
        try:
            kill_a_worker(process, tmp_path / "run" / "checkpoints" / "train_last.pt")
            code = process.wait(timeout=300)
        finally:
            process.kill()
            process.wait()
    said = (tmp_path / "out.txt").read_text()
    if restarts:
        assert code == 0, said
        assert "resumed after epoch" in said
        assert [row["epoch"] for row in log(tmp_path / "run") if row["phase"] == "train"] == list("123456")
        assert (tmp_path / "run" / "summary.json").exists()
    else:
        assert code != 0
        assert "Signal 9 (SIGKILL)" in said
        assert not (tmp_path / "run" / "summary.json").exists()
