# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What each switch of the training bundles is worth: training steps of a classifier on tensors in memory.

They alternate in each round; ratios are taken within a round.

    python benchmarks/training_switches.py --out docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from monai.inferers import SimpleInferer
from page import chip, opening, publish, spread
from torch.nn import functional as F

from monai_semise.engines import BFloat16Inferer
from monai_semise.networks import SeverityClassifier

SWITCHES: dict[str, tuple[str, ...]] = {
    "none": (),
    "`channels_last`": ("channels_last",),
    "`bf16`": ("bf16",),
    "`channels_last`, `bf16`": ("channels_last", "bf16"),
    "`fused_optimizer`": ("fused_optimizer",),
    "`compile`": ("compile",),
    "all": ("channels_last", "bf16", "fused_optimizer", "compile"),
}
N_GRADES = 5


def steps_per_second(backbone: str, size: int, batch_size: int, on: tuple[str, ...], seconds: float) -> float:
    """Images a second of forward pass, backward pass and optimizer step, with these switches on."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = torch.channels_last if "channels_last" in on else torch.preserve_format
    torch.manual_seed(0)
    network = SeverityClassifier(N_GRADES, backbone, in_channels=3, freeze=False).to(device)
    network.to(memory_format=layout)  # pyrefly: ignore  # torch has it, its annotations do not
    network.train()
    images = torch.rand(batch_size, 3, size, size, device=device).to(memory_format=layout)
    grades = torch.randint(N_GRADES, (batch_size,), device=device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, fused="fused_optimizer" in on)
    inferer = BFloat16Inferer(SimpleInferer(), enabled="bf16" in on)
    if "compile" in on:
        network.compile()

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(inferer(images, network), grades).backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    step()
    step()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        step()
        count += 1
    return count * batch_size / (time.perf_counter() - start)


def report(arguments: argparse.Namespace, found: dict[str, list[dict[str, float]]]) -> str:
    """The section, in Markdown."""
    lines = [
        *opening(
            "Training switches",
            f"Images a second of training steps, {arguments.size} px, batch {arguments.batch_size}, float32 weights, "
            f"SGD with momentum; median (smallest to largest) over {arguments.rounds} rounds.",
            chip(),
        ),
        "| encoder | switch | images a second | ratio to none |",
        "|---|---|---|---|",
    ]
    for backbone, rounds in found.items():
        for name in SWITCHES:
            rates = spread([rates[name] for rates in rounds], 1)
            ratios = spread([rates[name] / rates["none"] for rates in rounds], 2)
            lines.append(f"| {backbone} | {name} | {rates} | {ratios} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of steps, a round and a switch")
    parser.add_argument("--backbones", nargs="+", default=["resnet10", "resnet50"])
    parser.add_argument("--size", type=int, default=192, help="pixels along each axis")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--out", type=Path, help="Markdown file whose section to replace; printed otherwise")
    arguments = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {backbone: [] for backbone in arguments.backbones}
    for backbone, rounds in found.items():
        for _ in range(arguments.rounds):
            rounds.append(
                {
                    name: steps_per_second(backbone, arguments.size, arguments.batch_size, on, arguments.seconds)
                    for name, on in SWITCHES.items()
                }
            )
            print(backbone, rounds[-1], file=sys.stderr)
    publish(report(arguments, found), arguments.out)


if __name__ == "__main__":
    main()
