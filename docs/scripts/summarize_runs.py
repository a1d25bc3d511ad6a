# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Mean and 95 % interval over several runs (seeds) of one training bundle, as a Markdown table.

The interval is Student's t over the runs.

    python docs/scripts/summarize_runs.py runs/idrid_0 runs/idrid_1 runs/idrid_2
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_semise.apps.compare.seed_interval import seed_interval

PRETRAINING = ("pair_accuracy", "pair_accuracy_with_healthy", "kendall_tau")
CLASSIFICATION = (
    "macro_f1",
    "maee",
    "macro_recall",
    "quadratic_weighted_kappa",
    "c_index",
    "accuracy",
    "macro_auc",
)
SEGMENTATION = ("dice", "iou")


def measures_of(section: Mapping[str, Any]) -> dict[str, float]:
    """What a run's ``summary.json`` says of a section, without what it says of predictors that see no image."""
    if "rows" in section:
        model = {name: values[0] for name, values in section["rows"]["model"].items()}
        return {name: value for name, value in model.items() if name in CLASSIFICATION or name.endswith(SEGMENTATION)}
    evaluation = section.get("evaluation", {"rows": {}})["rows"].get("distance from healthy", {})
    distance = {name: evaluation[name][0] for name in CLASSIFICATION if name in evaluation}
    return {name: section[name] for name in PRETRAINING if name in section} | distance


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="output folders of the runs")
    folders = parser.parse_args().runs
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in folders]
    print("| images | measure | mean | 95 % interval | runs |\n|---|---|---|---|---|")
    for section in summaries[0]:
        found = [measures_of(summary[section]) for summary in summaries]
        for measure in found[0]:
            values = [run[measure] for run in found if measure in run]
            interval = seed_interval(values)
            each = ", ".join(f"{value:.3f}" for value in values)
            name = measure.replace("_", " ")
            print(f"| {section} | {name} | {interval.mean:.3f} | {interval.low:.3f} to {interval.high:.3f} | {each} |")


if __name__ == "__main__":
    main()
