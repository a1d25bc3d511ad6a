# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

import torch
from tqdm import tqdm

from monai_semise.apps.compare.stage import Stage, runs_of, state_of
from monai_semise.apps.compare.stage_process import StageProcess

__all__ = ["Environment", "device_slots", "is_first_process", "run_stages"]

Environment = dict[str, str]


def is_first_process() -> bool:
    """Whether this process hands out the runs: torchrun may have started others beside it."""
    return all(int(os.environ.get(name) or 0) == 0 for name in ("RANK", "LOCAL_RANK"))


def device_slots(jobs: int | None) -> list[Environment]:
    """Environment variables of each of the runs that go on at once: a GPU each, where there are any; else a share of
    the processors.

    Args:
        jobs: runs at once; None takes as many as there are GPUs, or one.
    """
    n_gpus = torch.cuda.device_count()
    if n_gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        devices = visible.split(",") if visible else [str(n) for n in range(n_gpus)]
        return [{"CUDA_VISIBLE_DEVICES": devices[n % n_gpus]} for n in range(jobs or n_gpus)]
    jobs = jobs or 1
    if jobs == 1 or "OMP_NUM_THREADS" in os.environ:
        return [{} for _ in range(jobs)]
    return [{"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))} for _ in range(jobs)]


def run_stages(stages: Sequence[Stage], slots: Sequence[Environment], processes: StageProcess) -> dict[Path, str]:
    """Run all stages that are not finished, the stages of one run after each other, as many runs at once as slots.

    A stage that fails keeps those from starting that need it, and no other.

    Args:
        stages: those of a run follow each other, pretraining first.
        slots: see :func:`device_slots`.
        processes: runs one.

    Returns:
        what went wrong, by folder of the stage (those of :attr:`Stage.problem` included), in one line each.
    """
    free: queue.SimpleQueue[Environment] = queue.SimpleQueue()
    for slot in slots:
        free.put(slot)
    n_done = sum(state_of(stage) == "finished" for stage in stages)
    failures: dict[Path, str] = {}
    # what is finished does not count into the time left
    with tqdm(total=len(stages) - n_done, desc="Compare", unit="stage", disable=n_done == len(stages)) as bar:

        def one_run(own: Sequence[Stage]) -> None:
            environment = free.get()
            try:
                for stage in own:
                    _run_one(stage, own[0], environment, processes, failures, bar)
            finally:
                free.put(environment)

        with ThreadPoolExecutor(len(slots)) as pool:
            futures: list[Future] = [pool.submit(one_run, own) for own in runs_of(stages)]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                processes.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    return failures


def _run_one(
    stage: Stage,
    first: Stage,
    environment: Environment,
    processes: StageProcess,
    failures: dict[Path, str],
    bar: tqdm,
) -> None:
    if stage.problem:
        failures[stage.folder] = stage.problem
    elif first.folder in failures:
        failures[stage.folder] = f"{first.kind}: {failures[first.folder]}"
    elif state_of(stage) == "finished":
        return
    else:
        bar.set_postfix_str(stage.title)
        error = processes.run(stage, environment)
        if error:
            failures[stage.folder] = error
            bar.write(f"failed: {stage.title}: {error}")
    bar.update()
