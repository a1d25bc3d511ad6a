# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What the processes of a distributed run of ``semise_pretrain`` send each other a step: an estimate, nothing measured.

Parameters and layers are counted on the network itself; bandwidth, latency and speed of the GPUs are assumptions, which
the page names.

    python benchmarks/communication.py --out docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from page import publish
from torch import nn

from monai_semise.networks import SemiseNet

VIEWS = 2
GATHERED_VIEWS = 3
"""Both views by NT-Xent, the graded one again for the healthy reference."""
FLOAT = 4
"""Bytes."""


def sent(n: int, images: int, dimensions: int, network: nn.Module) -> dict[str, float]:
    """Bytes that each of ``n`` processes sends a step: ring algorithms, which receive as much."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    channels = [layer.num_features for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    embeddings = GATHERED_VIEWS * images * dimensions * FLOAT
    others = n - 1
    return {
        "gradients": 2 * others / n * parameters * FLOAT,
        "batch normalization": others * sum(2 * c + 1 for c in channels) * FLOAT
        + 2 * others / n * 2 * sum(channels) * FLOAT,
        "embeddings": others * embeddings + 2 * others / n * n * embeddings,
        "sums of the loss": 2 * 2 * others / n * VIEWS * n * images * FLOAT,
    }


def report(arguments: argparse.Namespace) -> str:
    """The section, in Markdown."""
    network = SemiseNet("resnet50", in_channels=1, embedding_dim=arguments.dimensions)
    n_layers = sum(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules())
    lines = [
        "## Communication of many GPUs, estimated",
        "",
        "Not measured: no GPU was at hand. With N processes of b images each, two views, embeddings of d dimensions, a "
        "network of P parameters, and batch normalization of C channels in all, each process sends a step, by ring "
        "algorithms, in bytes:",
        "",
        "- gradients, averaged by DistributedDataParallel: 8 P (N - 1) / N, while the backward pass runs;",
        f"- synchronized batch normalization: 4 (N - 1) (2 C) forward and 16 C (N - 1) / N backward, in {2 * n_layers} "
        "small messages one after the other;",
        "- embeddings, which the loss gathers with their gradients (both views, the graded one twice): "
        "12 b d (N - 1) forward, 24 b d (N - 1) backward.",
        "",
        "The loss of all images takes about 6 (2 N b)^2 d operations, which the processes share: 24 N b^2 d each, and "
        "two sums over 2 N b rows, 32 b (N - 1) bytes. Without sharing, it would grow with the square of N.",
        "",
        "```text",
        f"python {' '.join(sys.argv)}",
        "```",
        "",
        f"ResNet-50, d = {arguments.dimensions}, b = {arguments.images}. Assumed: {arguments.node_bandwidth} GB/s and "
        f"{arguments.node_latency} µs a message in a machine of 8 GPUs, {arguments.bandwidth} GB/s for each GPU and "
        f"{arguments.latency} µs between machines, {arguments.tflops} Tflop/s in the loss, {arguments.step} ms for the "
        "network's own step. Efficiency is that step's share of the whole if nothing overlaps; where gradients travel "
        "during the backward pass it is higher.",
        "",
        "| GPUs | gradients | batch normalization | embeddings | sums of the loss | sending "
        "| messages of batch normalization | loss | efficiency |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for n in arguments.processes:
        parts = sent(n, arguments.images, arguments.dimensions, network)
        inside = n <= 8
        bandwidth = arguments.node_bandwidth if inside else arguments.bandwidth
        sending = sum(parts.values()) / (bandwidth * 1e6)
        waiting = 2 * n_layers * (arguments.node_latency if inside else arguments.latency) / 1e3
        loss = 6 * (VIEWS * n * arguments.images) ** 2 / n * arguments.dimensions / (arguments.tflops * 1e9)
        efficiency = arguments.step / (arguments.step + sending + waiting + loss)
        sizes = " | ".join(f"{part / 1e6:.1f} MB" for part in parts.values())
        lines.append(f"| {n} | {sizes} | {sending:.1f} ms | {waiting:.1f} ms | {loss:.1f} ms | {efficiency:.2f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[8, 64, 512])
    parser.add_argument("--images", type=int, default=64, help="of a process, a step")
    parser.add_argument("--dimensions", type=int, default=256, help="of an embedding")
    parser.add_argument("--node_bandwidth", type=float, default=300, help="GB/s within a machine")
    parser.add_argument("--node_latency", type=float, default=15, help="microseconds a message within a machine")
    parser.add_argument("--bandwidth", type=float, default=40, help="GB/s a GPU between machines")
    parser.add_argument("--latency", type=float, default=50, help="microseconds a message between machines")
    parser.add_argument("--tflops", type=float, default=40, help="float32 speed of the loss")
    parser.add_argument("--step", type=float, default=120, help="milliseconds of the network's step")
    parser.add_argument("--out", type=Path, help="Markdown file whose section to replace; printed otherwise")
    arguments = parser.parse_args()
    publish(report(arguments), arguments.out)


if __name__ == "__main__":
    main()
