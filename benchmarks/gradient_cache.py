# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Memory and time of one training step with a large batch in chunks, against a small batch at once.

Each step runs in a process of its own. Memory is the largest of the process above that before the step, when network
and images are there; on a GPU, the largest that was allocated, less the same.

    python benchmarks/gradient_cache.py --out docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from page import chip, opening, publish

from monai_semise.engines import ChunkedInferer
from monai_semise.losses import NTXentLoss
from monai_semise.networks import SemiseNet


class Step(NamedTuple):
    """One training step: NT-Xent of ``batch_size`` images of ``size`` pixels and their mirror images."""

    backbone: str
    size: int
    batch_size: int
    chunk_size: int | None


def measure(step: Step) -> dict[str, float]:
    """Mebibytes and seconds of the step, in this process."""
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    torch.manual_seed(0)
    network = SemiseNet(step.backbone, in_channels=1, embedding_dim=256).to(device).train()
    images = torch.rand(step.batch_size, 1, step.size, step.size, device=device)
    views = (images, images.flip(-1))
    inferer = ChunkedInferer(step.chunk_size)
    before = torch.cuda.memory_allocated() if cuda else _peak()
    start = time.perf_counter()
    first, second = (inferer(view, network)[:, 0] for view in views)
    NTXentLoss()(first, second).backward()
    after = torch.cuda.max_memory_allocated() if cuda else _peak()
    return {"mebibytes": (after - before) / 2**20, "seconds": time.perf_counter() - start}


def _peak() -> int:
    """Bytes, the largest memory of this process so far; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def apart(step: Step) -> dict[str, float]:
    """:func:`measure` in a process of its own."""
    command = [sys.executable, os.fspath(Path(__file__).resolve()), "--step", json.dumps(step)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def report(found: dict[Step, dict[str, float]]) -> str:
    """The section, in Markdown."""
    lines = [
        *opening(
            "Large batches in chunks",
            "One training step by NT-Xent of two views, a batch at once against one 16 times as large in chunks of "
            "that size (`chunk_size`): memory beyond network and images, one run each.",
            chip(),
        ),
        "| encoder | pixels | batch | chunk | MiB | seconds | images a second |",
        "|---|---|---|---|---|---|---|",
        *[
            f"| {step.backbone} | {step.size} | {step.batch_size:,} | {step.chunk_size or 'none'} | "
            f"{values['mebibytes']:,.0f} | {values['seconds']:.1f} | {step.batch_size / values['seconds']:.1f} |"
            for step, values in found.items()
        ],
        "",
        "Goal: 16 times the batch in the memory of one; that the gradients are the same is tested.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--sizes", type=int, nargs="+", default=[224], help="pixels along each axis")
    parser.add_argument("--chunks", type=int, nargs="+", default=[256], help="images, one number for each of --sizes")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="Markdown file whose section to replace; printed otherwise")
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(measure(Step(*json.loads(arguments.step)))))
        return
    found = {}
    for size, chunk in zip(arguments.sizes, arguments.chunks, strict=True):
        for step in (
            Step(arguments.backbone, size, chunk, None),
            Step(arguments.backbone, size, 16 * chunk, chunk),
        ):
            found[step] = apart(step)
            print(step, found[step], file=sys.stderr)
    publish(report(found), arguments.out)


if __name__ == "__main__":
    main()
