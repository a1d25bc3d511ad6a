# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import mean_absolute_error
from torchmetrics.functional import mean_absolute_error as mean_absolute_error_of_torchmetrics

from monai_semise.metrics import grade_mean_absolute_error, macro_mean_absolute_error
from tests.metrics.data import CONSTANT_ROWS, integers


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [1, 6, 300])
def test_equal_scikit_learn_overall_and_grade_by_grade(n, seed):
    y, y_pred = integers(n, 3, seed), integers(n, 5, seed + 100)
    assert grade_mean_absolute_error(y_pred, y).item() == pytest.approx(mean_absolute_error(y, y_pred), abs=1e-12)
    of_grade = [mean_absolute_error(y[y == grade], y_pred[y == grade]) for grade in y.unique()]
    assert macro_mean_absolute_error(y_pred, y).item() == pytest.approx(sum(of_grade) / len(of_grade), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_equals_torchmetrics(seed):
    y, y_pred = integers(300, 5, seed), integers(300, 5, seed + 100)
    expected = mean_absolute_error_of_torchmetrics(y_pred, y).item()
    assert grade_mean_absolute_error(y_pred, y).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_macro_average_equals_dlordinal(seed):
    dlordinal = pytest.importorskip("dlordinal.metrics")
    y, y_pred = integers(300, 3, seed), integers(300, 5, seed + 100)
    assert macro_mean_absolute_error(y_pred, y).item() == pytest.approx(dlordinal.amae(y, y_pred), abs=1e-12)


@pytest.mark.parametrize("row", CONSTANT_ROWS.values(), ids=CONSTANT_ROWS)
def test_a_constant_predictor_misses_each_grade_by_its_distance(row):
    y_pred, y = row.grades()
    assert macro_mean_absolute_error(y_pred, y).item() == pytest.approx((len(row.counts) - 1) / 2)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_every_type_of_grade(dtype):
    y, y_pred = torch.tensor([0, 0, 3]).to(dtype), torch.tensor([2, 0, 2]).to(dtype)
    assert grade_mean_absolute_error(y_pred, y).item() == pytest.approx(1)
    assert macro_mean_absolute_error(y_pred, y).item() == pytest.approx(1)
    assert grade_mean_absolute_error(y, y_pred).item() == pytest.approx(1)
    assert macro_mean_absolute_error(y, y_pred).item() == pytest.approx(3 / 4)
