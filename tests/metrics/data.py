# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Data that the tests of several metrics share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from hypothesis import strategies as st

from monai_semise.metrics import GradePrediction


class ConstantRow(NamedTuple):
    """A row of the paper whose network predicts the first grade for every image (method.md, section 3).

    ``counts`` are the test images of each grade, the strings the values as that table prints them.
    """

    counts: tuple[int, ...]
    f1: str
    recall: str
    maee: str

    def grades(self):
        """Predicted and true grades."""
        true = torch.repeat_interleave(torch.arange(len(self.counts)), torch.tensor(self.counts))
        return torch.zeros_like(true), true


CONSTANT_ROWS = {
    "vindr": ConstantRow((2682, 934, 186, 152, 46), "16.06", "20.00", "3.0399"),
    "papilledema": ConstantRow((779, 295, 295), "24.18", "33.33", "2.747"),
    "papilledema test split": ConstantRow((116, 44, 44), "24.167", "33.33", "2.7486"),
    "papilledema 2 classes": ConstantRow((1074, 295), "43.96", "50.00", "1.370"),
    # NV < DF < BKL < VASC < AKIEC < BCC < MEL
    "isic": ConstantRow((909, 44, 217, 35, 43, 93, 171), "10.73", "14.29", "58.513"),
}


def printed_like(value, text):
    """``value`` with the digits of ``text``."""
    return f"{float(value):.{len(text.partition('.')[2])}f}"


def integers(n, highest, seed=0, lowest=0):
    return torch.randint(lowest, highest + 1, (n,), generator=torch.Generator().manual_seed(seed))


def scores(n, seed=0):
    return torch.rand(n, generator=torch.Generator().manual_seed(seed))


def collected(metric, y_pred, y, batches=(None,)):
    """What ``metric`` makes of the rows, given to it in batches that end at these rows."""
    start = 0
    for end in batches:
        metric(y_pred[start:end], y[start:end])
        start = end
    return metric.aggregate()


def probabilities(n, n_grades, seed=0):
    return torch.randn(n, n_grades, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(1)


@st.composite
def graded_images(draw, n_grades=4, min_size=1, max_size=12):
    """True grades, predictions with many ties, and how often each image counts, at least one of them."""
    n = draw(st.integers(min_size, max_size))

    def whole_numbers(lowest, highest):
        return torch.tensor(draw(st.lists(st.integers(lowest, highest), min_size=n, max_size=n)))

    probability = torch.stack([whole_numbers(1, 4) for _ in range(n_grades)], dim=1).double()
    prediction = GradePrediction(
        whole_numbers(0, n_grades - 1), probability / probability.sum(1, keepdim=True), whole_numbers(0, 5) / 5
    )
    times = whole_numbers(0, 3)
    times[0] += 1
    return whole_numbers(0, n_grades - 1), prediction, times
