# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""A datalist, and run folders as they look when training has finished, without any training."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from monai_semise.apps.compare.options import ComparisonOptions
from monai_semise.apps.compare.plan import Plan
from monai_semise.apps.compare.stage import Stage, write_record
from monai_semise.utils import write_json
from tests.bundles.harness import ROOT

N_GRADES = 3


def options(folder: Path, datalist: Path, **given) -> ComparisonOptions:
    """A comparison of simclr with two seeds and all labels, or what is given."""
    defaults = {
        "methods": "simclr",
        "n_seeds": 2,
        "bundles": ROOT / "bundles",
        "epochs": 2,
        "settings": ("backbone=resnet10", "image_size=32", "batch_size=8"),
        "n_resamples": 200,
    }
    return ComparisonOptions(datalist, folder, **{**defaults, **given})


def finish(plan: Plan, stages: list[Stage], skill: float, seed: int = 0, validation_skill: float = 0.0) -> None:
    """Make the folders of ``stages`` look finished, with predictions that are right with a chance of ``skill``, those
    of the validation images with ``validation_skill``."""
    random = np.random.default_rng(seed)
    for stage in stages:
        stage.folder.mkdir(parents=True, exist_ok=True)
        if stage.kind == "classification":
            _write_predictions(stage.folder, plan, {"validation": validation_skill, "test": skill}, random)
        if stage.kind == "segmentation":
            _write_masks(stage.folder, plan, skill, random)
        write_record(stage, "finished", seconds=1)
        if not (stage.folder / "summary.json").exists():
            write_json(stage.folder / "summary.json", {})


def _write_predictions(folder: Path, plan: Plan, skills: dict[str, float], random: np.random.Generator) -> None:
    n_grades = len(plan.grade_names)
    with open(folder / "predictions.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        probabilities = [f"probability_{n}" for n in range(n_grades)]
        writer.writerow(["section", "image", "group", "severity", "grade", "score", *probabilities])
        for section, items in (("validation", plan.validation), ("test", plan.test)):
            for item in items:
                right = random.random() < skills[section]
                grade = item["severity"] if right else int(random.integers(n_grades))
                probability = np.full(n_grades, 0.1)
                probability[grade] += 1 - probability.sum()
                score = probability @ range(n_grades)
                writer.writerow([section, item["image"], "", item["severity"], grade, score, *probability])


def _write_masks(folder: Path, plan: Plan, skill: float, random: np.random.Generator) -> None:
    with open(folder / "segmentation.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["section", "image", "group", "structure", "dice", "iou", "true_share", "predicted_share"])
        writer.writerow(["validation", "v.png", "", "lesion", 0, 0, 0.1, 0.1])
        for n, item in enumerate(plan.test):
            dice = "" if n == 0 else min(1, skill + 0.1 * random.random())  # the first shows no lesion
            writer.writerow(["test", item["image"], "", "lesion", dice, dice and dice / (2 - dice), 0.1, 0.1])
    rows = {"constant-mask": {"lesion_dice": [0.3, None, None], "lesion_iou": [0.2, None, None]}}
    (folder / "summary.json").write_text(json.dumps({"test": {"rows": rows}}))
