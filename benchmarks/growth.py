# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""How time and memory grow with the number of images, of rows in a batch, of pairs, and of images that are compared.

Images are a synthetic index: grades, patients and empty files. Every point is measured in a process of its own, on one
thread: processor time, the least of up to three runs, and the most memory held above the input. Linux only.

    python benchmarks/growth.py --out docs/benchmarks.md --figure docs/images/growth.png
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import losses
import numpy as np
import torch
from growth_work import IMAGES_A_PATIENT, WORK, Prepare
from matplotlib.figure import Figure
from page import exponent, opening, publish, shown

from monai_semise.visualize.figure import save_figure

Points = dict[int, tuple[float, float]]
"""MB and seconds by size."""
Found = dict[str, dict[str, Points]]
"""They by what they grow with, and by name."""

FILES = "/dev/shm"
"""Where empty files are made fastest."""
LEAST_MB = 8.0
"""Below it, memory tells more of the allocator than of the work."""
LEAST_SHOWN_MB = 0.1
LINEAR = 1.25
"""Exponent up to which growth counts as linear: at these sizes sorting has 1.08, and leaving the caches adds to it."""
AXES = {
    "images": [round(10 ** (power / 2)) // 10 * 10 for power in range(6, 13)],
    "rows of a batch": [2**power for power in range(6, 15)],
    "pairs": [round(10 ** (power / 2)) // 1000 * 1000 for power in range(6, 15)],
    "compared images": [50, 100, 200, 400, 800, 1600],
}
"""Sizes along each axis; no more than 2,000 images are compared at a time."""


def point(prepare: Prepare, n: int) -> tuple[float, float]:
    """In a process of its own: MB above the input, and seconds of processor time."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with TemporaryDirectory(dir=FILES) as small, TemporaryDirectory(dir=FILES) as folder:
        prepare(min(n, 1000), Path(small))()  # what is loaded at first use is not counted
        work = prepare(n, Path(folder))
        Path("/proc/self/clear_refs").write_text("5")
        before, seconds, most = losses.held("VmRSS"), [], 0.0
        while len(seconds) < 3 and sum(seconds) < 1:
            start = time.process_time()
            work()
            seconds.append(time.process_time() - start)
            most = most or losses.held("VmHWM") - before
    return most, min(seconds)


def loss_point(name: str, n: int) -> tuple[float, float]:
    """The same of a loss, as the section on losses has it."""
    megabytes, _, seconds = losses.measure(name, n, dimensions=256, threads=1)
    return megabytes, seconds


def follow(measure: Callable[[int], tuple[float, float]], sizes: list[int], limit: float) -> Points:
    """Sizes up to where the next point could take longer than the limit."""
    found: Points = {}
    for n, following in zip(sizes, [*sizes[1:], math.inf]):
        with get_context("fork").Pool(1) as process:
            found[n] = process.apply(measure, (n,))
        print(measure, n, found[n], file=sys.stderr, flush=True)
        if found[n][1] * following / n > limit:
            break
    return found


def follow_all(limit: float) -> Found:
    works = {axis: {name: partial(point, work) for name, work in works.items()} for axis, works in WORK.items()}
    measures = {**works, "rows of a batch": {name: partial(loss_point, name) for name in losses.OURS}}
    return {
        axis: {name: follow(measure, sizes, limit) for name, measure in measures[axis].items()}
        for axis, sizes in AXES.items()
    }


def exponents(found: Points) -> tuple[float, float]:
    """Of time and of memory, over the upper half of the sizes; nan where too little is known."""
    upper = list(found.items())[(len(found) - 1) // 2 :]
    times = [(n, seconds) for n, (_, seconds) in upper if seconds > 0]
    return exponent(times), exponent([(n, megabytes) for n, (megabytes, _) in upper if megabytes > LEAST_MB])


def draw(found: Found, path: Path) -> None:
    """The figure: time above, memory below, a column for each axis, exponents in the legends."""
    figure = Figure(figsize=(15, 8.6), layout="constrained")
    panels = figure.subplots(2, len(AXES), sharey="row")
    for (axis, sizes), (time_panel, memory_panel) in zip(AXES.items(), panels.T):
        for number, (name, points) in enumerate(found[axis].items()):
            style = {"color": f"C{number}", "marker": "os^Dv"[number % 5], "markersize": 4, "linewidth": 1.2}
            megabytes, seconds = zip(*points.values())
            powers = ", ".join(shown(power) or "?" for power in exponents(points))
            time_panel.plot(list(points), seconds, **style)
            memory_panel.plot(list(points), np.maximum(megabytes, LEAST_SHOWN_MB), label=f"{name}: {powers}", **style)
        for panel, at in ((time_panel, 1e-3), (memory_panel, 1.0)):
            panel.set(xscale="log", yscale="log", xlabel=axis)
            panel.grid(alpha=0.3)
            panel.plot(sizes, [at * n / sizes[0] for n in sizes], color="0.4", linestyle=":", scaley=False)
        memory_panel.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False, title="exponents of time, memory"
        )
    panels[0, 0].set_ylabel("seconds of processor time")
    panels[1, 0].set_ylabel("MB above the input")
    figure.suptitle("Dotted: linear growth")
    save_figure(figure, path, dpi=75)


def quick(found: Found, name: str) -> int:
    """Largest measured number of compared images for which it took less than a second."""
    return max(n for n, (_, seconds) in found["compared images"][name].items() if seconds < 1)


def report(found: Found, arguments: argparse.Namespace) -> str:
    """The section, in Markdown."""
    lines = [
        *opening(
            "How cost grows",
            "Processor time and most memory above the input, on one thread, with the number of images (an index of "
            f"grades, {IMAGES_A_PATIENT} images a patient, and empty files), of rows in a batch (forward and "
            "backward, 256 dimensions), of pairs, and of images that are compared by n log n answers. Exponents are "
            "slopes of the logarithms, by least squares over the upper half of the sizes; those of memory only from "
            f"{LEAST_MB:.0f} MB on. A curve ends where the next point could take longer than {arguments.limit:.0f} s.",
        ),
        f"![Time and memory against size](images/{arguments.figure.name})",
        "",
        "| grows with | what | up to | seconds there | MB there | exponent of time | exponent of memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for axis, curves in found.items():
        for name, points in curves.items():
            n, (megabytes, seconds) = max(points.items())
            powers = " | ".join(shown(power) for power in exponents(points))
            lines.append(f"| {axis} | {name} | {n:,} | {seconds:.3g} | {megabytes:.0f} | {powers} |")
    steep = [name for name, points in found["images"].items() if any(p > LINEAR for p in exponents(points))]
    lines += [
        "",
        f"Goal: nothing grows faster than linearly with the number of images (exponent up to {LINEAR}: sorting has "
        "1.08 at these sizes, and leaving the caches adds to it): "
        f"{'missed by ' + ', '.join(steep) if steep else 'met'}.",
        "",
        "Comparing images by hand is apart from that: the covariance of n severities has n² entries, and its inverse "
        "takes n³ steps, so that no more than 2,000 images are compared at a time. At the sizes measured, the fit took "
        f"less than a second up to {quick(found, 'order: fit'):,} images, the choice of a pair after it up to "
        f"{quick(found, 'next pair: choose'):,}.",
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=12.0, help="seconds that no point of a curve shall exceed")
    parser.add_argument(
        "--figure", type=Path, required=True, help="PNG file to write, in the folder images of the page"
    )
    parser.add_argument("--out", type=Path, help="Markdown file whose section to replace; printed otherwise")
    arguments = parser.parse_args()
    found = follow_all(arguments.limit)
    draw(found, arguments.figure)
    publish(report(found, arguments), arguments.out)


if __name__ == "__main__":
    main()
