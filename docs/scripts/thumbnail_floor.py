# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What tiny thumbnails already tell: a random forest on 32 px pixels and grey-level histograms, as a floor to beat.

Trained on the graded training and validation images of a datalist and scored on its test images; the score is the
expected grade. Needs scikit-learn, which the test extra brings.

    python docs/scripts/thumbnail_floor.py runs/idrid.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.ensemble import RandomForestClassifier

from monai_semise.data import load_datalist
from monai_semise.losses import comparable_pairs
from monai_semise.metrics import pair_accuracy

SIDE = 32
BINS = 32


def features(file: str) -> np.ndarray:
    """Pixels of the thumbnail and the histogram of the whole image's grey levels."""
    with Image.open(file) as image:
        thumbnail = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), dtype=np.float32).ravel() / 255
        levels, _ = np.histogram(np.asarray(image.convert("L")), bins=BINS, range=(0, 256), density=True)
    return np.concatenate([thumbnail, levels])


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datalist", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    datalist = load_datalist(arguments.datalist, required=("training", "test"))
    fit = [item for item in datalist["training"] + datalist["validation"] if item["severity"] >= 0]
    x, y = np.stack([features(item["image"]) for item in fit]), [item["severity"] for item in fit]
    test_x = np.stack([features(item["image"]) for item in datalist["test"]])
    severity = torch.tensor([item["severity"] for item in datalist["test"]])
    for include_healthy in (False, True):
        a, b, preference = comparable_pairs(severity, include_healthy=include_healthy)
        values = []
        for seed in range(arguments.seeds):
            forest = RandomForestClassifier(500, random_state=seed, class_weight="balanced_subsample").fit(x, y)
            score = torch.from_numpy(forest.predict_proba(test_x) @ forest.classes_)
            values.append(float(pair_accuracy(score, torch.stack([a, b], dim=1), preference)))
        name = "pair accuracy with healthy" if include_healthy else "pair accuracy"
        print(f"{name}: mean {np.mean(values):.3f} of " + ", ".join(f"{value:.3f}" for value in values))


if __name__ == "__main__":
    main()
