# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The page that the benchmarks write, a section each."""

from __future__ import annotations

import math
import os
import platform
import re
import statistics
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import monai
import torch

from monai_semise.utils import write_whole


def spread(values: list[float], digits: int) -> str:
    """Median, smallest and largest value."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def exponent(points: Iterable[tuple[float, float]]) -> float:
    """Power of the size that a value grows with: slope of the logarithms by least squares; nan for one or two."""
    logarithms = [(math.log(size), math.log(value)) for size, value in points]
    return statistics.linear_regression(*zip(*logarithms)).slope if len(logarithms) > 2 else math.nan


def shown(power: float) -> str:
    """An exponent in a table; nothing where it is not known."""
    return "" if math.isnan(power) else f"{power:.2f}"


def machine() -> str:
    """Date, processor and versions, as a sentence begins."""
    processor = platform.processor() or platform.machine()
    versions = f"torch {torch.__version__}, MONAI {monai.__version__}"
    return f"{date.today().isoformat()}, {os.cpu_count()} CPU cores, {processor}, {versions}"


def chip() -> str:
    """What computes: the GPU's name, or how many threads of the CPU."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"


def opening(heading: str, about: str, *where: str) -> list[str]:
    """Lines that a section begins with: heading, what is measured, the command, and the machine."""
    command = f"python {' '.join(sys.argv)}"
    return [f"## {heading}", "", about, "", "```text", command, "```", "", f"{'; '.join([machine(), *where])}.", ""]


def publish(section: str, page: Path | None) -> None:
    """Put a section, which begins with its heading, in the place of the one in the page, or at its end; without a page,
    print it."""
    if page is None:
        print(section)
        return
    heading = section.splitlines()[0]
    text = page.read_text() if page.exists() else "# Benchmarks\n\n"
    before, _, after = text.partition(f"{heading}\n")
    following = re.search(r"^## ", after, flags=re.MULTILINE)
    rest = "\n" + after[following.start() :] if following else ""
    with write_whole(page) as stream:
        stream.write(before.rstrip("\n") + "\n\n" + section + rest)
