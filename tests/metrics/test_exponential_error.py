# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest
import torch

from monai_semise.metrics import MeanAbsoluteExponentialError, mean_absolute_exponential_error
from tests.metrics.data import CONSTANT_ROWS, collected, integers, printed_like


@pytest.mark.parametrize("n", [1, 7, 300])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition_image_by_image(n, seed):
    y, y_pred = integers(n, 6, seed), integers(n, 6, seed + 100)
    expected = sum(math.exp(abs(a - b)) for a, b in zip(y.tolist(), y_pred.tolist())) / n
    assert mean_absolute_exponential_error(y_pred, y).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("row", CONSTANT_ROWS.values(), ids=CONSTANT_ROWS)
def test_constant_rows_of_the_paper(row):
    assert printed_like(collected(MeanAbsoluteExponentialError(), *row.grades()), row.maee) == row.maee


@pytest.mark.parametrize("n", [1, 10])
def test_a_perfect_prediction_scores_1(n):
    grades = integers(n, 4)
    assert mean_absolute_exponential_error(grades, grades).item() == 1


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_is_symmetric_in_every_type_of_grade(dtype):
    y, y_pred = torch.tensor([0, 3]).to(dtype), torch.tensor([2, 2]).to(dtype)
    expected = pytest.approx((math.exp(2) + math.exp(1)) / 2, rel=1e-12)
    assert mean_absolute_exponential_error(y_pred, y).item() == expected
    assert mean_absolute_exponential_error(y, y_pred).item() == expected
