# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Time from the start of ``semise_pretrain`` to the end of its first training step, in a fresh process each round.

python benchmarks/startup.py --out docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from page import opening, publish, spread

CONFIG = Path(__file__).parents[1] / "bundles" / "semise_pretrain.json"
STAGES = {
    "imports": "import of torch, MONAI, Ignite",
    "package": "import of monai_semise",
    "initialize": "checks of settings and data, network",
    "trainer": "reading the images, samplers, optimizer",
    "step": "first training step",
}
BEFORE_STEP = ("package", "initialize", "trainer")
PROGRAM = """
import json, os, sys, time

marks = [(time.perf_counter(), time.process_time())]


def mark():
    marks.append((time.perf_counter(), time.process_time()))


import ignite, monai, torch
from monai.bundle import ConfigWorkflow

mark()
import monai_semise

mark()
config, output_dir, dataset_dir = sys.argv[1:]
workflow = ConfigWorkflow(config, logging_file=False, output_dir=output_dir, dataset_dir=dataset_dir)
workflow.initialize()
mark()
trainer = workflow.parser.get_parsed_content("discriminate::trainer")
mark()


def stop(engine):
    mark()
    print(json.dumps([[b - a for a, b in zip(before, after)] for before, after in zip(marks, marks[1:])]), flush=True)
    os._exit(0)


trainer.add_event_handler(ignite.engine.Events.ITERATION_COMPLETED, stop)
workflow.run()
"""
"""Prints the seconds of each stage, by the clock and of processor time."""


def start(folder: Path, number: int) -> dict[str, tuple[float, float]]:
    """Wall and processor seconds of each stage of one start."""
    command = [sys.executable, "-c", PROGRAM, str(CONFIG), str(folder / f"run{number}"), str(folder / "data")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(zip(STAGES, json.loads(done.stdout.splitlines()[-1]), strict=True))


def report(rounds: list[dict[str, tuple[float, float]]]) -> str:
    """The section, in Markdown."""

    def row(name: str, stages: tuple[str, ...]) -> str:
        wall, processor = ([sum(found[stage][i] for stage in stages) for found in rounds] for i in (0, 1))
        return f"| {name} | {spread(wall, 2)} | {spread(processor, 2)} |"

    lines = [
        *opening(
            "Start-up",
            "From the start of `semise_pretrain` with its default settings, phantoms at hand, to the end of the "
            f"first training step (ResNet-50, 32 images of 64 px); median (smallest to largest) of {len(rounds)} "
            "starts.",
        ),
        "| | seconds | seconds of processor time |",
        "|---|---|---|",
        *[row(name, (stage,)) for stage, name in STAGES.items()],
        row("from those imports to the first step", BEFORE_STEP),
        row("from those imports to its end", (*BEFORE_STEP, "step")),
        "",
        "Goal: less than 5 s to the first step beyond importing torch and MONAI.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="Markdown file whose section to replace; printed otherwise")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start(Path(folder), 0)  # draws the phantoms
        rounds = [start(Path(folder), n) for n in range(1, arguments.rounds + 1)]
    publish(report(rounds), arguments.out)


if __name__ == "__main__":
    main()
