# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What tiny thumbnails already tell: a random forest on 32 px pixels and grey-level histograms, as a floor to beat.

Trained on the graded training and validation images of a datalist and scored on its test images; the score is the
expected grade.

    python docs/scripts/thumbnail_floor.py runs/idrid.json --channels 3
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import cohen_kappa_score, f1_score

from monai_semise.apps.compare.thumbnail_forest import ThumbnailForest
from monai_semise.data import graded_items, load_datalist
from monai_semise.metrics import ordinal_c_index


def main() -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datalist", type=Path)
    parser.add_argument("--channels", type=int, default=1, help="of the images")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    datalist = graded_items(load_datalist(arguments.datalist, required=("training", "test")))
    fit, test = datalist["training"] + datalist["validation"], datalist["test"]
    severity = torch.tensor([item["severity"] for item in test])
    n_grades = 1 + max(item["severity"] for item in fit + test)
    forest = ThumbnailForest(arguments.channels)
    found: dict[str, list[float]] = {}
    for seed in range(arguments.seeds):
        grade, _, score = forest.predict(fit, test, n_grades, seed)
        assert score is not None
        anomalous = severity > 0
        measures = {
            "macro f1": float(f1_score(severity, grade, average="macro")),
            "quadratic weighted kappa": float(cohen_kappa_score(severity, grade, weights="quadratic")),
            "pair accuracy": float(ordinal_c_index(score[anomalous], severity[anomalous])),
            "pair accuracy with healthy": float(ordinal_c_index(score, severity)),
        }
        for name, value in measures.items():
            found.setdefault(name, []).append(value)
    for name, values in found.items():
        print(f"{name}: mean {np.mean(values):.3f} of " + ", ".join(f"{value:.3f}" for value in values))


if __name__ == "__main__":
    main()
