# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Turn an ``index.csv`` into a datalist.

The file has the columns ``image`` (path from the file's folder), ``severity`` (whole number, empty = ungraded) and
``group`` (patient; never split between sections), and optionally ``grade`` (name of the severity), ``mask`` and
``split`` (``train`` or ``test``). Without ``split``, a test set is drawn by group. Validation is always drawn from the
training groups. Draws are stratified by grade and seeded. A training image whose group is also in the test set is left
out, and said so.

    python docs/scripts/index_to_datalist.py data/idrid/index.csv --out idrid.json
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from monai_semise.data import load_datalist, write_datalist
from monai_semise.utils import InputError

Item = dict[str, Any]


def read_items(index: Path) -> list[Item]:
    """Rows of the index as datalist items, with their split."""
    with open(index, encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    items = []
    for number, row in enumerate(rows, start=2):
        if not row.get("image"):
            raise InputError(f"{index}, row {number}, image: empty")
        severity = row.get("severity") or None
        if severity is not None and not severity.isdecimal():
            raise InputError(f"{index}, row {number}, severity: {severity!r} is not a whole number")
        items.append(
            {
                "image": str((index.parent / row["image"]).absolute()),
                "severity": None if severity is None else int(severity),
                "mask": str((index.parent / row["mask"]).absolute()) if row.get("mask") else None,
                "group": row.get("group") or row["image"],
                "grade": row.get("grade"),
                "split": row.get("split"),
            }
        )
    return items


def draw_groups(items: list[Item], share: float, random: np.random.Generator) -> set[str]:
    """Groups that hold about ``share`` of the images of every grade; a group counts with its worst grade."""
    worst: dict[str, int] = defaultdict(lambda: -1)
    for item in items:
        severity = -1 if item["severity"] is None else item["severity"]
        worst[item["group"]] = max(worst[item["group"]], severity)
    drawn: set[str] = set()
    for grade in sorted(set(worst.values()) - {-1}):
        groups = sorted(group for group, severity in worst.items() if severity == grade)
        drawn.update(random.permutation(groups)[: round(len(groups) * share)].tolist())
    return drawn


def split_items(items: list[Item], validation: float, test: float, seed: int) -> dict[str, list[Item]]:
    """The sections of the datalist."""
    random = np.random.default_rng(seed)
    if any(item["split"] for item in items):
        test_items = [item for item in items if item["split"] == "test"]
    else:
        test_groups = draw_groups(items, test, random)
        test_items = [item for item in items if item["group"] in test_groups]
    test_groups = {item["group"] for item in test_items}
    rest = [item for item in items if item["group"] not in test_groups]
    dropped = len(items) - len(rest) - len(test_items)
    if dropped:
        print(f"left out {dropped} training image(s) whose group is also in the test set", file=sys.stderr)
    validation_groups = draw_groups(rest, validation, random)
    return {
        "training": [i for i in rest if i["severity"] is not None and i["group"] not in validation_groups],
        "validation": [i for i in rest if i["severity"] is not None and i["group"] in validation_groups],
        "test": [item for item in test_items if item["severity"] is not None],
        "unlabelled": [i for i in rest if i["severity"] is None and i["group"] not in validation_groups],
    }


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path, help="the index.csv")
    parser.add_argument("--out", type=Path, required=True, help="datalist to write (JSON)")
    parser.add_argument("--validation", type=float, default=0.15, help="share of the training images (default 0.15)")
    parser.add_argument("--test", type=float, default=0.15, help="share of all images, without a split column")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    items = read_items(arguments.index)
    names = {item["severity"]: item["grade"] for item in items if item["severity"] is not None and item["grade"]}
    sections = split_items(items, arguments.validation, arguments.test, arguments.seed)
    kept = ("image", "severity", "mask", "group")
    datalist = {name: [{k: i[k] for k in kept} for i in section] for name, section in sections.items()}
    write_datalist(
        arguments.out, {"grades": [names.get(g, str(g)) for g in range(max(names, default=-1) + 1)], **datalist}
    )
    for name, section in load_datalist(arguments.out).items():
        counts = {grade: sum(item["severity"] == grade for item in section) for grade in sorted(names)}
        print(f"{name:11} {len(section):5} images, by severity {counts}")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"Error: {error}")
