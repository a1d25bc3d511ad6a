# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""A real job of two processes against one process with the whole batch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from monai_semise.utils import gather_with_gradient, is_main_process, rank, unwrap, world_size
from tests.utils import gloo_worker

ROOT = Path(__file__).resolve().parents[2]
RANKS = range(len(gloo_worker.SIZES))


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Results of each rank; never waits much longer than two minutes, and leaves no process behind."""
    folder = tmp_path_factory.mktemp("gloo")
    logs = [folder / f"{of_rank}.log" for of_rank in RANKS]
    processes = []
    try:
        for of_rank, log in zip(RANKS, logs):
            with log.open("w") as stream:
                command = [sys.executable, "-m", "tests.utils.gloo_worker", str(folder), str(of_rank)]
                environment = {**os.environ, "OMP_NUM_THREADS": "1"}
                processes.append(
                    subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT)
                )
        deadline = time.monotonic() + 120
        codes = [process.wait(timeout=max(1.0, deadline - time.monotonic())) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert codes == [0] * len(RANKS), "\n".join(log.read_text() for log in logs)
    return [torch.load(folder / f"{of_rank}.pt", weights_only=True) for of_rank in RANKS]


@pytest.fixture(scope="module")
def single():
    """Results of one process with the whole batch."""
    return gloo_worker.everything(gloo_worker.network(), gloo_worker.WHOLE)


@pytest.mark.parametrize("of_rank", RANKS)
@pytest.mark.parametrize("name", gloo_worker.LOSSES)
def test_loss_and_gradients_equal_those_of_one_process(job, single, name, of_rank):
    ours, expected = job[of_rank]["losses"][name], single["losses"][name]
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-12)


def test_the_single_process_learns_from_every_loss_that_compares_something(single):
    empty = {"phase 2 without a comparable pair", "no explicit pair"}
    learning = {name for name, result in single["losses"].items() if result["gradients"].abs().max() > 1e-6}
    assert learning == set(gloo_worker.LOSSES) - empty
    assert all(single["losses"][name]["loss"] == 0 for name in empty)


@pytest.mark.parametrize("of_rank", RANKS)
def test_metrics_are_those_of_the_whole_set(job, single, of_rank):
    torch.testing.assert_close(job[of_rank]["metrics"], single["metrics"], rtol=1e-6, atol=1e-7)
    assert all(value.isfinite() for value in single["metrics"].values())


@pytest.mark.parametrize("of_rank", RANKS)
def test_the_gather_is_the_whole_batch_in_rank_order(job, single, of_rank):
    ours, expected = job[of_rank]["gathered"], single["gathered"]
    for name in ("whole", "integers", "transposed", "no rank has any"):
        assert torch.equal(ours[name], expected[name]), name
    assert torch.equal(ours["one rank has none"], expected["whole"][: gloo_worker.SIZES[0]])


@pytest.mark.parametrize("of_rank", RANKS)
def test_the_gather_sums_the_gradients_over_the_ranks(job, single, of_rank):
    start, end = gloo_worker.share(of_rank)
    torch.testing.assert_close(
        job[of_rank]["gathered"]["gradient"], len(RANKS) * single["gathered"]["gradient"][start:end]
    )


@pytest.mark.parametrize("of_rank", RANKS)
@pytest.mark.parametrize("name", ["NTXentLoss", "SupervisedContrastiveLoss", "RankNContrastLoss"])
def test_ranks_share_the_work_of_many_rows(job, single, name, of_rank):
    ours, expected = job[of_rank]["many rows"][name], single["many rows"][name]
    start, end = (bound * gloo_worker.ROWS_AN_IMAGE for bound in gloo_worker.share(of_rank))
    torch.testing.assert_close(ours["value"], expected["value"], rtol=1e-12, atol=0)
    torch.testing.assert_close(ours["gradient"], len(RANKS) * expected["gradient"][start:end], rtol=1e-9, atol=1e-15)
    assert ours["operations"] < 0.7 * expected["operations"]


def test_every_rank_knows_who_it_is(job):
    assert [results["identity"] for results in job] == [(0, 2, True), (1, 2, False)]


def test_a_single_process_gathers_nothing():
    local = torch.randn(3, 2, requires_grad=True)
    assert gather_with_gradient(local) is local
    assert (rank(), world_size(), is_main_process()) == (0, 1, True)


def test_unwrap_finds_the_network():
    network = nn.Linear(2, 2)
    assert unwrap(network) is network
    assert unwrap(nn.DataParallel(network)) is network
