# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Throughput of the whole pretraining command against a bare loop of the same step.

Both sides train the same network on the same two views of equally large batches. The command reads, collates and
augments batches, logs every iteration to TensorBoard, the progress bar and the CSV file; the bare loop does forward
pass, loss, backward pass and optimizer step on tensors that are already in memory. They alternate in one process. What
the command does beside the step is also timed alone.

    python benchmarks/pretraining_throughput.py --rounds 3 --out docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow
from page import chip, opening, publish, spread

from monai_semise.handlers import read_training_log

CONFIG = Path(__file__).parents[1] / "bundles" / "semise_pretrain.json"


def command_throughput(arguments: argparse.Namespace, folder: Path, round_number: int) -> tuple[float, float, Any]:
    """Images a second in the training iterations, the same with validation and checkpoints, and the workflow."""
    workflow = ConfigWorkflow(
        str(CONFIG),
        logging_file=False,
        output_dir=str(folder / f"run{round_number}"),
        dataset_dir=str(folder / "data"),
        backbone=arguments.backbone,
        image_size=arguments.image_size,
        batch_size=arguments.batch_size,
        **{
            "phantoms::n_training": arguments.images,
            "phantoms::size": arguments.image_size,
            "train::trainer::max_epochs": arguments.epochs,
        },
    )
    workflow.initialize()
    workflow.parser.get_parsed_content("train::trainer").run()
    # the first epoch warms up
    rows = read_training_log(folder / f"run{round_number}" / "log.csv")[1:]
    images = [row["images_per_second"] for row in rows]
    whole = [row["images_per_second"] * row["training_seconds"] / row["seconds"] for row in rows]
    return statistics.median(images), statistics.median(whole), workflow


def bare_throughput(workflow: Any, arguments: argparse.Namespace) -> float:
    """Images a second of the bare loop, on the workflow's own network, loss and optimizer."""
    parser = workflow.parser
    network, loss, optimizer = (parser.get_parsed_content(f) for f in ("network", "train::loss", "train::optimizer"))
    device = parser.get_parsed_content("device")
    inferer = parser.get_parsed_content("train::inferer")
    views = torch.rand(2, arguments.batch_size, 1, arguments.image_size, arguments.image_size, device=device)
    target = {"severity": torch.arange(arguments.batch_size, device=device) % 5}
    network.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", enabled=device.type == "cuda"):
            value = loss(inferer(views, network), target)
        value.backward()
        optimizer.step()

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    step()
    wait()
    start = time.perf_counter()
    for _ in range(arguments.steps):
        step()
    wait()
    return arguments.steps * arguments.batch_size / (time.perf_counter() - start)


def beside_throughput(workflow: Any) -> tuple[float, float]:
    """Images a second of reading and collating batches, and of making their two views, each alone."""
    get = workflow.parser.get_parsed_content
    dataloader, prepare_batch, device = (get(key) for key in ("train::dataloader", "train::prepare_batch", "device"))
    start = time.perf_counter()
    batches = list(dataloader)
    reading = time.perf_counter() - start
    start = time.perf_counter()
    for batch in batches:
        prepare_batch(batch, device)
    if device.type == "cuda":
        torch.cuda.synchronize()
    n_images = sum(len(batch["image"]) for batch in batches)
    return n_images / reading, n_images / (time.perf_counter() - start)


def report(arguments: argparse.Namespace, rounds: list[tuple[float, ...]]) -> str:
    """The section, in Markdown."""
    training, whole, bare, reading, views = (list(column) for column in zip(*rounds))
    lines = [
        *opening(
            "Pretraining throughput",
            "The whole command against a bare loop of the same training step on tensors already in memory (same "
            "network, same batch of two views, same loss and optimizer), in one process; median (smallest to "
            f"largest) over {len(rounds)} rounds. Images are counted once, not once a view.",
            chip(),
            f"{arguments.backbone}, {arguments.image_size} px, batch {arguments.batch_size}, "
            f"{arguments.epochs - 1} epochs a round",
        ),
        "| | images per second | ratio to the bare loop |",
        "|---|---|---|",
        f"| bare loop | {spread(bare, 1)} | 1 |",
        f"| command, training iterations | {spread(training, 1)} | "
        f"{spread([t / b for t, b in zip(training, bare)], 3)} |",
        f"| command, with validation and checkpoint after each epoch | {spread(whole, 1)} | "
        f"{spread([w / b for w, b in zip(whole, bare)], 3)} |",
        f"| reading and collating batches, alone | {spread(reading, 1)} | "
        f"{spread([r / b for r, b in zip(reading, bare)], 1)} |",
        f"| making the two views, alone | {spread(views, 1)} | {spread([v / b for v, b in zip(views, bare)], 1)} |",
        "",
        "Goal: training iterations at 0.95 or more of the bare loop.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3, help="epochs of the command a round, the first warms up")
    parser.add_argument("--steps", type=int, default=20, help="steps of the bare loop a round")
    parser.add_argument("--images", type=int, default=500, help="training images of the command")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--image_size", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--out", type=Path, help="Markdown file whose section to replace; printed otherwise")
    arguments = parser.parse_args()
    rounds: list[tuple[float, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        for n in range(arguments.rounds):
            training, whole, workflow = command_throughput(arguments, Path(folder), n)
            bare = bare_throughput(workflow, arguments)
            rounds.append((training, whole, bare, *beside_throughput(workflow)))
    publish(report(arguments, rounds), arguments.out)


if __name__ == "__main__":
    main()
