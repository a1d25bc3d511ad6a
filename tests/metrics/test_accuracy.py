# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import accuracy_score
from torchmetrics.functional.classification import multiclass_accuracy

from monai_semise.metrics import grade_accuracy, one_off_accuracy
from tests.metrics.data import integers


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [1, 6, 300])
def test_accuracy_equals_scikit_learn_and_torchmetrics(n, seed):
    y, y_pred = integers(n, 3, seed), integers(n, 3, seed + 100)
    ours = grade_accuracy(y_pred, y).item()
    assert ours == pytest.approx(accuracy_score(y, y_pred), abs=1e-12)
    assert ours == pytest.approx(multiclass_accuracy(y_pred, y, 4, average="micro").item(), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_one_off_accuracy_equals_dlordinal(seed):
    dlordinal = pytest.importorskip("dlordinal.metrics")
    y, y_pred = integers(300, 5, seed), integers(300, 5, seed + 100)
    expected = dlordinal.accuracy_off1(y, y_pred, labels=range(6))
    assert one_off_accuracy(y_pred, y).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_by_hand_in_every_type_of_grade(dtype):
    y, y_pred = torch.tensor([0, 3, 1, 2, 0]).to(dtype), torch.tensor([0, 2, 2, 0, 3]).to(dtype)
    assert grade_accuracy(y_pred, y).item() == pytest.approx(1 / 5)
    assert one_off_accuracy(y_pred, y).item() == pytest.approx(3 / 5)
