# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from monai_semise.apps.compare.left_out import reason_of
from monai_semise.apps.compare.stage import Stage, state_of
from monai_semise.metrics import GradePrediction

__all__ = ["MaskScores", "read_constant_mask", "read_mask_scores", "read_predictions", "unreadable_results"]

SECTION = "test"
CONSTANT = "constant-mask"


class MaskScores(NamedTuple):
    """Of one segmentation run, for N images and S structures."""

    structures: list[str]
    dice: Tensor
    """Shape (N, S); nan where the image does not show the structure."""
    iou: Tensor
    """Likewise."""
    groups: list[str]
    """Patient of each image."""


def read_predictions(folder: Path, section: str = SECTION) -> GradePrediction:
    """What a classification run predicts of the graded images of a section, in the order of the datalist."""
    table = pd.read_csv(folder / "predictions.csv", dtype={"image": str, "group": str}, keep_default_na=False)
    table = table[table["section"] == section]
    probabilities = [name for name in map(str, table) if name.startswith("probability_")]
    return GradePrediction(
        *(torch.from_numpy(table[name].to_numpy(copy=True)) for name in ("grade", probabilities, "score"))
    )


def read_mask_scores(folder: Path) -> MaskScores:
    """How well a segmentation run outlines the annotated test images, in the order of the datalist."""
    table = pd.read_csv(folder / "segmentation.csv", dtype=str, keep_default_na=False)
    table = table[table["section"] == SECTION]
    structures = list(dict.fromkeys(table["structure"]))
    dice, iou = (
        torch.from_numpy(table[name].replace("", "nan").astype(float).to_numpy().reshape(-1, len(structures)).copy())
        for name in ("dice", "iou")
    )
    # an image without a patient stands for itself
    groups = [
        group or image for group, image in table.loc[:, ["group", "image"]].iloc[:: len(structures)].to_numpy().tolist()
    ]
    return MaskScores(structures, dice, iou, groups)


def read_constant_mask(folder: Path) -> dict[str, float]:
    """Dice and IoU of the one mask for all images that a segmentation run compares itself with: by measure, such as
    ``lesion_dice``."""
    rows = json.loads((folder / "summary.json").read_text(encoding="utf-8"))[SECTION]["rows"][CONSTANT]
    return {name: float("nan") if interval[0] is None else interval[0] for name, interval in rows.items()}


def unreadable_results(stages: Sequence[Stage], failed: Container[Path]) -> dict[Path, str]:
    """Stages that finished, but whose results cannot be read any more, and why.

    Args:
        stages: of a comparison.
        failed: folders of stages that need not be looked at.
    """
    readers = {"classification": [read_predictions], "segmentation": [read_mask_scores, read_constant_mask]}
    found: dict[Path, str] = {}
    for stage in stages:
        if stage.folder in failed or state_of(stage) != "finished":
            continue
        try:
            for read in readers.get(stage.kind, []):
                read(stage.folder)
        except Exception as error:  # whatever is wrong with the files of one run must not lose the tables
            found[stage.folder] = f"its results cannot be read ({reason_of(error)}); remove its folder to run it again"
    return found
