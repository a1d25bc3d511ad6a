# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What benchmarks/growth.py measures: each function makes the input of a size and returns the work on it."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from monai_semise.apps.datasets.curate import leave_out
from monai_semise.apps.datasets.examine import Examination
from monai_semise.apps.neighbours import Neighbours
from monai_semise.comparison import fit_bradley_terry, informative_pair
from monai_semise.data import (
    GradeBalancedBatchSampler,
    PreferencePair,
    ShuffledBatchSampler,
    draw_preference_pairs,
    load_datalist,
    read_pairs,
)
from monai_semise.data.collection import Record
from monai_semise.data.splits import draw_labelled_groups, draw_split
from monai_semise.losses import preference_loss
from monai_semise.metrics import PairAccuracy, bootstrap_intervals, kendall_tau, ordinal_c_index, spearman_correlation
from monai_semise.severity import SeverityCalibrator
from monai_semise.utils import save_checkpoint

Work = Callable[[], object]
Prepare = Callable[[int, Path], Work]
"""Makes the input of a size, with an empty folder to put files in, and returns what is to be measured."""

GRADE_SHARES = (0.6, 0.2, 0.1, 0.06, 0.04)
IMAGES_A_PATIENT = 3
FILES_A_FOLDER = 1000
PAIRED_IMAGES = 10_000


def index(n: int) -> tuple[list[int], list[str]]:
    """Grade and patient of n images."""
    grades = np.random.default_rng(0).choice(len(GRADE_SHARES), size=n, p=GRADE_SHARES)
    return grades.tolist(), [str(image // IMAGES_A_PATIENT) for image in range(n)]


def scores(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Severity score and grade of n images."""
    grades = torch.tensor(index(n)[0])
    return grades + torch.randn(n, generator=torch.Generator().manual_seed(0)), grades


def read_list(n: int, folder: Path) -> Work:
    grades, patients = index(n)
    sections: dict[str, list[dict]] = {"training": [], "validation": [], "test": []}
    for image in range(n):
        name = f"{image // FILES_A_FOLDER}/{image}.png"
        if image % FILES_A_FOLDER == 0:
            (folder / name).parent.mkdir()
        os.mknod(folder / name)
        section = ("validation", "test")[int(patients[image]) % 10] if int(patients[image]) % 10 < 2 else "training"
        sections[section].append({"image": name, "severity": grades[image], "group": patients[image]})
    (folder / "datalist.json").write_text(json.dumps(sections))
    return partial(load_datalist, folder / "datalist.json")


def split(n: int, folder: Path) -> Work:
    grades, patients = index(n)
    return partial(draw_split, patients, grades, {"test": 0.2, "validation": 0.1})


def keep_labels(n: int, folder: Path) -> Work:
    grades, patients = index(n)
    return partial(draw_labelled_groups, patients, grades, share=0.1)


def sort_out(n: int, folder: Path) -> Work:
    grades, patients = index(n)
    records = [Record(Path(f"{image}.png"), grades[image], patients[image]) for image in range(n)]
    copies = [Examination(str(image - (image % 100 == 1))) for image in range(n)]  # 1 of 100 is a copy
    return partial(leave_out, records, copies)


def graded_epoch(n: int, folder: Path) -> Work:
    grades, _ = index(n)
    return lambda: sum(len(batch) for batch in GradeBalancedBatchSampler(grades, batch_size=256))


def shuffled_epoch(n: int, folder: Path) -> Work:
    return lambda: sum(len(batch) for batch in ShuffledBatchSampler(n, batch_size=256))


def ranking(n: int, folder: Path) -> Work:
    score, grade = scores(n)
    return lambda: [measure(score, grade) for measure in (ordinal_c_index, kendall_tau, spearman_correlation)]


def intervals(n: int, folder: Path) -> Work:
    score, grade = scores(n)
    measures = {measure.__name__: partial(measure, score, grade) for measure in (ordinal_c_index, kendall_tau)}
    return partial(bootstrap_intervals, measures, index(n)[1], n_resamples=100)


def calibrate(n: int, folder: Path) -> Work:
    score, grade = scores(n)
    return partial(SeverityCalibrator().fit, score.numpy(), grade.numpy(), index(n)[1])


def neighbours(n: int, folder: Path) -> Work:
    embedding = torch.nn.functional.normalize(torch.randn(n, 64))
    content = {"images": [str(image) for image in range(n)], "severity": scores(n)[1], "embedding": embedding}
    save_checkpoint(folder / "neighbours.pt", content)
    return partial(Neighbours(folder / "neighbours.pt").nearest, torch.randn(64, 64))


def draw_pairs(n: int, folder: Path) -> Work:
    items = [{"index": image, "severity": grade} for image, grade in enumerate(index(PAIRED_IMAGES)[0])]
    return partial(draw_preference_pairs, items, n)


def read_pair_file(n: int, folder: Path) -> Work:
    items = [{"index": image, "image": str(folder / f"{image}.png")} for image in range(PAIRED_IMAGES)]
    with open(folder / "pairs.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("image_a", "image_b", "winner"))
        images = np.random.default_rng(0).integers(PAIRED_IMAGES - 1, size=n).tolist()
        writer.writerows((f"{image}.png", f"{image + 1}.png", "ab"[image % 2]) for image in images)
    return partial(read_pairs, folder / "pairs.csv", items)


def given_pairs(n: int, folder: Path) -> Work:
    score, grade = scores(PAIRED_IMAGES)
    pairs = [PreferencePair(image, image + 1, float(image % 2)) for image in range(1000)] * (n // 1000)
    rows = torch.stack([grade, torch.arange(PAIRED_IMAGES)], dim=1)
    return lambda: PairAccuracy(pairs).compute(score, rows)


def pair_loss(n: int, folder: Path) -> Work:
    a, b = torch.rand(2, n).requires_grad_()
    preference = torch.randint(2, (n,)).float()
    return lambda: torch.autograd.grad(preference_loss(a, b, preference), (a, b))


def answers(n: int) -> list[PreferencePair]:
    """As many comparisons of n images as order them."""
    random = np.random.default_rng(0)
    pairs = (random.choice(n, size=2, replace=False).tolist() for _ in range(round(n * math.log2(n))))
    return [PreferencePair(a, b, float(a + 0.1 * n * random.logistic() > b)) for a, b in pairs]


def fit_order(n: int, folder: Path) -> Work:
    return partial(fit_bradley_terry, n, answers(n))


def choose_pair(n: int, folder: Path) -> Work:
    return partial(informative_pair, fit_bradley_terry(n, answers(n)), (), np.random.default_rng(0))


WORK: dict[str, dict[str, Prepare]] = {
    "images": {
        "datalist: read and check": read_list,
        "split: draw": split,
        "labels to keep: draw": keep_labels,
        "copies: sort out": sort_out,
        "graded batches: an epoch": graded_epoch,
        "shuffled batches: an epoch": shuffled_epoch,
        "C-index, tau, rho: all pairs": ranking,
        "intervals: 100 resamples": intervals,
        "calibration: fit": calibrate,
        "neighbours: of 64 images": neighbours,
    },
    "pairs": {
        "pairs: draw": draw_pairs,
        "pairs.csv: read": read_pair_file,
        "accuracy: given pairs": given_pairs,
        "preference loss: given pairs": pair_loss,
    },
    "compared images": {"order: fit": fit_order, "next pair: choose": choose_pair},
}
