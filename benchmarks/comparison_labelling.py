# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""How many comparisons a severity model needs, with random and with informative choice of pairs.

A simulated rater compares the graded training images of a datalist, and errs in a share of the answers; images of equal
grade are equal. How often the order that they give has the worse of two compared images first is the accuracy of the
order. ``semise_pretrain`` then learns from the comparisons alone, and the grades of the test images tell how often the
worse of two has the higher score. Runs that have finished are not repeated. Settings after ``--`` go to the training
runs.

    python benchmarks/comparison_labelling.py --datalist idrid.json --out runs/comparisons \\
        --comparisons 250,500,1000,2000 -- --in_channels 3 --image_size 224 --local_contrast True
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from monai_semise.comparison import fit_bradley_terry, informative_pair
from monai_semise.data import UNGRADED, PreferencePair, load_datalist, write_pairs
from monai_semise.visualize.figure import save_figure

BUNDLES = Path(__file__).resolve().parents[1] / "bundles"
CHOICES = ("random", "informative")


def simulate(severity: list[int], n_comparisons: int, choice: str, flips: float, seed: int) -> list[PreferencePair]:
    """Comparisons by a rater who errs, in the order in which they are made."""
    random = np.random.default_rng(seed)
    nothing = posterior = fit_bradley_terry(len(severity), [])
    pairs: list[PreferencePair] = []
    asked: set[tuple[int, int]] = set()
    for _ in range(n_comparisons):
        chosen = informative_pair(posterior if choice == "informative" else nothing, asked, random)
        if chosen is None:
            break
        a, b = chosen
        right = 0.5 if severity[a] == severity[b] else float(severity[a] > severity[b])
        wrong = random.choice([value for value in (0.0, 0.5, 1.0) if right == 0.5 and value != right] or [1 - right])
        asked.add(chosen)
        pairs.append(PreferencePair(a, b, float(wrong) if random.random() < flips else right))
        if choice == "informative":
            posterior = fit_bradley_terry(len(severity), pairs, start=posterior.mean)
    return pairs


def order_accuracy(severity: list[int], pairs: list[PreferencePair]) -> float:
    """Share of the pairs of unequal grade which the fitted order has right; half for ties."""
    order = fit_bradley_terry(len(severity), pairs).mean
    a, b = np.triu_indices(len(severity), k=1)
    right = np.sign(order[a] - order[b]) * np.sign(np.array(severity)[a] - np.array(severity)[b])
    return float(((right + 1) / 2)[np.array(severity)[a] != np.array(severity)[b]].mean())


def train(datalist: Path, pairs_file: Path, folder: Path, seed: int, settings: list[str]) -> dict[str, Any]:
    """Measures on the test images of a model that learned from the comparisons."""
    summary = folder / "summary.json"
    if not summary.is_file():
        files = json.dumps([str(BUNDLES / name) for name in ("semise_pretrain.json", "pairs_only.json")])
        given = {"datalist": datalist, "pairs_file": pairs_file, "output_dir": folder, "seed": seed}
        options = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", files, *options, *settings]
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "run.log", "w") as log:
            subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT)
    return json.loads(summary.read_text())["test"]


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Accuracy of order and model against comparisons: the mean of the seeds as a line, each seed as a point."""
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    ticks = sorted({row["comparisons"] for row in rows})
    panels = {"order_accuracy": "order of the compared images", "pair_accuracy_with_healthy": "model on test images"}
    for axes, (measure, title) in zip(figure.subplots(ncols=2), panels.items()):
        for choice, color in zip(CHOICES, ("0.45", "tab:blue")):
            points = [(row["comparisons"], row[measure]) for row in rows if row["choice"] == choice]
            counts = sorted({count for count, _ in points})
            means = [statistics.mean(accuracy for n, accuracy in points if n == count) for count in counts]
            axes.plot(counts, means, color=color, label=choice)
            axes.scatter(*zip(*points), color=color, s=14)
        axes.set(title=title, xscale="log", xlabel="comparisons", ylabel="pair accuracy")
        axes.set_xticks(ticks, labels=[f"{count:,}" for count in ticks], minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(title="choice of pairs", frameon=False)
    save_figure(figure, path)


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datalist", type=Path, required=True, help="graded datalist")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs, results.csv and accuracy.png")
    parser.add_argument("--comparisons", default="250,500,1000,2000", help="numbers of comparisons")
    parser.add_argument("--flips", type=float, default=0.1, help="share of wrong answers")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("settings", nargs="*", help="of semise_pretrain, after --")
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.comparisons.split(",")]
    items = [item for item in load_datalist(arguments.datalist)["training"] if item["severity"] != UNGRADED]
    severity = [item["severity"] for item in items]
    numbered = [{"image": item["image"], "index": n} for n, item in enumerate(items)]
    rows = []
    for seed in map(int, arguments.seeds.split(",")):
        for choice in CHOICES:
            pairs = simulate(severity, max(counts), choice, arguments.flips, seed)
            for count in counts:
                folder = arguments.out.absolute() / f"{choice}_{count}_seed{seed}"
                write_pairs(folder.with_suffix(".csv"), pairs[:count], numbered, rater="simulated")
                found = train(
                    arguments.datalist.absolute(), folder.with_suffix(".csv"), folder, seed, arguments.settings
                )
                measures = {name: value for name, value in found.items() if isinstance(value, float)}
                accuracy = {"order_accuracy": order_accuracy(severity, pairs[:count])}
                shown = {"seed": seed, "choice": choice, "comparisons": min(count, len(pairs))}
                rows.append({**shown, **accuracy, **measures})
                print(rows[-1], flush=True)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with open(arguments.out / "results.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, arguments.out / "accuracy.png")


if __name__ == "__main__":
    main()
