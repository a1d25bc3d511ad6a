# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Time and memory of the losses over a batch, forward and backward, alone and against what one would use instead.

The losses of a comparison alternate in each round; ratios are taken within a round. Memory is the most that a process
of its own holds above what it held before the loss. lightly takes part where it is installed. Linux only.

    python benchmarks/losses.py --out docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import torch
from monai.losses import ContrastiveLoss
from monai.utils import optional_import
from page import exponent, opening, publish, shown, spread
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor
from torch.nn import functional as F

from monai_semise.losses import (
    batch_preference_loss,
    nt_xent_loss,
    rank_n_contrast_loss,
    supervised_contrastive_loss,
)

lightly_loss, has_lightly = optional_import("lightly.loss", name="NTXentLoss")
TEMPERATURE = 0.5
N_GRADES = 5
OURS = ("NT-Xent", "supervised contrastive", "Rank-N-Contrast", "preference")
RIVALS = ("one product and cross-entropy", "pytorch-metric-learning's SupConLoss")
MONAI, LIGHTLY = "MONAI's ContrastiveLoss", "lightly's NTXentLoss"
EXPONENT_FROM = 1024


def one_product(rows: Tensor) -> Tensor:
    """NT-Xent as the cross-entropy of the dense matrix without its diagonal, as lightly writes it."""
    n = len(rows)
    unit = F.normalize(rows)
    others = (unit @ unit.T / TEMPERATURE)[~torch.eye(n, dtype=torch.bool)].view(n, n - 1)
    first = torch.arange(n // 2)
    return F.cross_entropy(others, torch.cat([first + n // 2 - 1, first]))


def losses(n: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """The losses of n rows, by name; where there are two views, the first half of the rows is the first one."""
    images, grades = torch.arange(n // 2).repeat(2), torch.arange(n) % N_GRADES
    return {
        "NT-Xent": lambda rows: nt_xent_loss(*rows.chunk(2), temperature=TEMPERATURE),
        "supervised contrastive": lambda rows: supervised_contrastive_loss(rows, grades, TEMPERATURE),
        "Rank-N-Contrast": lambda rows: rank_n_contrast_loss(rows, grades),
        "preference": lambda rows: batch_preference_loss(F.normalize(rows)[:, 0] + 1, grades),
        "one product and cross-entropy": one_product,
        "pytorch-metric-learning's SupConLoss": lambda rows: SupConLoss(TEMPERATURE)(rows, images),
        LIGHTLY: lambda rows: lightly_loss(TEMPERATURE)(*rows.chunk(2)),
        MONAI: lambda rows: ContrastiveLoss(TEMPERATURE)(*rows.chunk(2)),
    }


def seconds(name: str, n: int, dimensions: int) -> tuple[float, float, float]:
    """Value, wall time and processor time of one forward and backward pass."""
    rows = torch.randn(n, dimensions, generator=torch.Generator().manual_seed(n)).requires_grad_()
    loss = losses(n)[name]
    wall, processor = time.perf_counter(), time.process_time()
    value = loss(rows)
    value.backward()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return value.item(), wall, processor


def held(field: str) -> float:
    """MB that this process holds (VmRSS) or has held at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(field))


def measure(name: str, n: int, dimensions: int, threads: int) -> tuple[float, float, float]:
    """In a process of its own: the MB that a loss needs at most above its input, wall and processor time."""
    torch.set_num_threads(threads)
    seconds(name, 16, dimensions)
    rows = torch.randn(n, dimensions).requires_grad_()
    loss = losses(n)[name]
    Path("/proc/self/clear_refs").write_text("5")
    before, wall, processor = held("VmRSS"), time.perf_counter(), time.process_time()
    loss(rows).backward()
    return held("VmHWM") - before, time.perf_counter() - wall, time.process_time() - processor


def growth(name: str, arguments: argparse.Namespace) -> dict[int, tuple[float, float, float]]:
    """MB, wall and processor time by number of rows, up to the first that takes longer than the limit."""
    found: dict[int, tuple[float, float, float]] = {}
    for n in (2**power for power in range(6, arguments.largest_power + 1)):
        with get_context("fork").Pool(1) as process:
            found[n] = process.apply(measure, (name, n, arguments.dimensions, arguments.threads))
        print(name, n, found[n], file=sys.stderr, flush=True)
        if found[n][1] > arguments.limit:
            break
    return found


def comparison(n: int, dimensions: int, rounds: int, with_monai: bool) -> list[str]:
    """Rows of the table: NT-Xent against the same from elsewhere."""
    names = ["NT-Xent", *RIVALS, *([LIGHTLY] if has_lightly else []), *([MONAI] if with_monai else [])]
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
    for name in names:
        seconds(name, 16, dimensions)
    for _ in range(rounds):
        for name in names:
            found[name].append(seconds(name, n, dimensions))
    print(n, found, file=sys.stderr, flush=True)
    ours = found["NT-Xent"]
    lines = []
    for name, theirs in found.items():
        wall = spread([1e3 * one[1] for one in theirs], 1)
        ratios = [spread([one[part] / own[part] for one, own in zip(theirs, ours)], 2) for part in (1, 2)]
        apart = max(abs(one[0] / own[0] - 1) for one, own in zip(theirs, ours))
        lines.append(f"| {n:,} | {dimensions} | {name} | {wall} | {ratios[0]} | {ratios[1]} | {apart:.0e} |")
    return lines


def report(arguments: argparse.Namespace) -> str:
    """The section, in Markdown."""
    curves = {name: growth(name, arguments) for name in OURS}  # first: a process that has threads cannot be forked
    lines = [
        *opening(
            "Losses",
            f"Forward and backward pass in float32 on the CPU, {arguments.threads} threads; median (smallest to "
            f"largest) over {arguments.rounds} rounds. Ratios are to our NT-Xent in the same round, above 1 where "
            "ours is faster. Processor time is that of all threads and suffers less from other work on the machine.",
        ),
        "| rows | dimensions | NT-Xent by | milliseconds | ratio | ratio of processor time | values differ by |",
        "|---|---|---|---|---|---|---|",
    ]
    torch.set_num_threads(arguments.threads)
    for n in arguments.rows:
        lines += comparison(n, arguments.dimensions, arguments.rounds, n <= arguments.monai_rows // 2)
    lines += comparison(arguments.monai_rows, 512, arguments.rounds, with_monai=True)
    times = [seconds("preference", 4096, arguments.dimensions) for _ in range(10 * arguments.rounds)]
    lines += [
        "",
        f"All pairs of 4,096 graded images, preference loss: {spread([1e3 * one[1] for one in times], 1)} ms, "
        f"{spread([1e3 * one[2] for one in times], 1)} ms of processor time.",
        "",
        f"Growth with the rows of a batch, {arguments.dimensions} dimensions, one run each: seconds of processor time "
        "and MB above the input. The exponents are fitted "
        f"from {EXPONENT_FROM:,} rows on; a curve ends where a run took longer than {arguments.limit:.0f} s.",
        "",
        "| rows | " + " | ".join(OURS) + " |",
        "|---" * (1 + len(OURS)) + "|",
    ]
    for n in curves["preference"]:
        cells = [f"{c[n][2]:.3f} s, {c[n][0]:.0f} MB" if n in c else "" for c in curves.values()]
        lines.append(f"| {n:,} | {' | '.join(cells)} |")
    for title, part in (("exponent of time", 2), ("exponent of memory", 0)):
        large = [
            [(n, one[part]) for n, one in c.items() if n >= EXPONENT_FROM and one[part] > 0] for c in curves.values()
        ]
        lines.append(f"| {title} | {' | '.join(shown(exponent(points)) for points in large)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096, 8192])
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--monai_rows", type=int, default=512, help="most for MONAI; 512 need 4 GB, 1024 16 GB")
    parser.add_argument("--largest_power", type=int, default=14, help="of 2, rows of the curves")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds after which a curve ends")
    parser.add_argument("--out", type=Path, help="Markdown file whose section to replace; printed otherwise")
    arguments = parser.parse_args()
    publish(report(arguments), arguments.out)


if __name__ == "__main__":
    main()
