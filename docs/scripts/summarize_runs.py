# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Mean and 95 % interval over several runs (seeds) of ``semise_pretrain``, as a Markdown table.

The interval is Student's t over the runs. Needs SciPy, which the test extra brings.

    python docs/scripts/summarize_runs.py runs/idrid_0 runs/idrid_1 runs/idrid_2
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from scipy.stats import t

MEASURES = ("pair_accuracy", "pair_accuracy_with_healthy", "kendall_tau")


def interval(values: Sequence[float], coverage: float = 0.95) -> tuple[float, float]:
    """Mean and half width of its interval."""
    if len(values) < 2:
        return values[0], float("nan")
    half = t.ppf((1 + coverage) / 2, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values), float(half)


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="output folders of the runs")
    folders = parser.parse_args().runs
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in folders]
    print("| images | measure | mean | 95 % interval | runs |\n|---|---|---|---|---|")
    for section in summaries[0]:
        for measure in MEASURES:
            values = [summary[section][measure] for summary in summaries if measure in summary[section]]
            if not values:
                continue
            mean, half = interval(values)
            each = ", ".join(f"{value:.3f}" for value in values)
            name = measure.replace("_", " ")
            print(f"| {section} | {name} | {mean:.3f} | {mean - half:.3f} to {mean + half:.3f} | {each} |")


if __name__ == "__main__":
    main()
