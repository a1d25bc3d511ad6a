# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Severity inference of many images: how its time and its memory grow with their number.

The shipped command (``python -m monai_semise rank``), in a process of its own for each number of images, on a network
with random weights; its largest memory is what the system says when it has ended. There are only a few really different
images, to which many names link.

    python benchmarks/streaming_inference.py --out docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from page import opening, publish

from monai_semise.apps.run_settings import write_run_settings
from monai_semise.data import ensure_phantoms
from monai_semise.networks import SemiseNet
from monai_semise.utils import save_checkpoint

ROOT = Path(__file__).parents[1]
DISTINCT = 20
GRADE_NAMES = ["0", "1", "2", "3", "4"]


class Measured(NamedTuple):
    """Of one run."""

    seconds: float
    memory: float
    """Largest resident memory in MiB."""
    disk: float
    """What the run wrote, in MiB."""


def untrained_run(folder: Path, size: int) -> None:
    """Leave what inference needs of a training run."""
    shape = {"backbone": "resnet10", "spatial_dims": 2, "in_channels": 1, "embedding_dim": 64, "separate_heads": False}
    torch.manual_seed(0)
    network = SemiseNet(**shape)  # type: ignore[arg-type]
    network.set_healthy_reference(torch.rand(64))
    save_checkpoint(folder / "model.pt", network.state_dict())
    names, grades = [f"{n}.png" for n in range(5)], torch.arange(5)
    neighbours = {"images": names, "severity": grades, "embedding": torch.rand(5, 64)}
    save_checkpoint(folder / "training_embeddings.pt", neighbours)
    preprocessing = {"image_size": size, "mammography": False, "local_contrast": False}
    write_run_settings(folder, {"bundle": "semise_pretrain", **shape, **preprocessing, "grade_names": GRADE_NAMES})


def make_images(folder: Path, count: int, size: int) -> None:
    """``count`` names of PNG images."""
    ensure_phantoms(folder / "distinct", DISTINCT, 5, 5, size=size, progress=False)
    distinct = sorted((folder / "distinct").rglob("*.png"))[:DISTINCT]
    (folder / "images").mkdir(parents=True)
    for n in range(count):
        os.link(distinct[n % len(distinct)], folder / "images" / f"{n:06d}.png")


def measure(run: Path, folder: Path, count: int, arguments: argparse.Namespace) -> Measured:
    """Run the command on ``count`` images."""
    make_images(folder, count, arguments.size)
    command = [sys.executable, "-m", "monai_semise", "rank", str(folder / "images"), "--run_dir", str(run)]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--out", str(folder / "out")], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}")
    written = sum(file.stat().st_size for file in (folder / "out").rglob("*") if file.is_file())
    return Measured(time.perf_counter() - start, usage.ru_maxrss / 2**10, written / 2**20)


def report(arguments: argparse.Namespace, found: dict[int, Measured]) -> str:
    """The section, in Markdown."""
    lines = [
        *opening(
            "Inference of many images",
            f"`python -m monai_semise rank` on PNG images of {arguments.size} px, a ResNet-10, in one process; from "
            "start to end, with the worklist, heat maps and the page.",
        ),
        "| images | seconds | images a second | largest memory | written |",
        "|---|---|---|---|---|",
    ]
    for count, (seconds, memory, disk) in found.items():
        lines.append(f"| {count:,} | {seconds:.0f} | {count / seconds:.0f} | {memory:.0f} MiB | {disk:.1f} MiB |")
    counts = np.array(sorted(found))
    if len(counts) > 1:
        grown = found[counts[-1]].memory - found[counts[0]].memory
        lines += ["", f"Memory grows by {grown * 2**20 / (counts[-1] - counts[0]):.0f} bytes an image."]
    return "\n".join([*lines, ""])


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10**3, 10**4, 10**5], help="numbers of images")
    parser.add_argument("--size", type=int, default=64, help="pixels along each axis")
    parser.add_argument("--out", type=Path, help="Markdown file whose section to replace; printed otherwise")
    arguments = parser.parse_args()
    found: dict[int, Measured] = {}
    with tempfile.TemporaryDirectory() as name:
        untrained_run(Path(name) / "run", arguments.size)
        for count in arguments.counts:
            found[count] = measure(Path(name) / "run", Path(name) / str(count), count, arguments)
            print(count, found[count], file=sys.stderr)
    publish(report(arguments, found), arguments.out)


if __name__ == "__main__":
    main()
