# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from scipy.stats import somersd
from sklearn.metrics import roc_auc_score

from monai_semise.losses import comparable_pairs
from monai_semise.metrics import ordinal_c_index, pair_accuracy
from tests.losses.reference import LargestTensor
from tests.metrics.data import graded_images, integers, scores


@given(graded_images())
def test_is_the_accuracy_over_all_listed_pairs(images):
    y, prediction, _ = images
    a, b, preference = comparable_pairs(y, include_healthy=True)
    expected = pair_accuracy(prediction.score, torch.stack([a, b], dim=1), preference).item()
    assert ordinal_c_index(prediction.score, y).item() == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("levels", [2, 7, 10**6])
@pytest.mark.parametrize("n", [10, 400])
def test_is_somers_d_of_scipy(n, levels):
    score, y = (scores(n) * levels).floor(), integers(n, 4)
    assert ordinal_c_index(score, y).item() == pytest.approx((somersd(y, score).statistic + 1) / 2, abs=1e-12)


@pytest.mark.parametrize("levels", [3, 10**6])
def test_of_two_grades_is_the_area_under_the_roc_curve_of_scikit_learn(levels):
    score, y = (scores(200) * levels).floor(), integers(200, 1)
    assert ordinal_c_index(score, y).item() == pytest.approx(roc_auc_score(y, score), abs=1e-12)


def test_memory_is_linear():
    with LargestTensor() as record:
        ordinal_c_index(scores(1000), integers(1000, 4))
    assert record.elements <= 1000


def test_an_order_scores_1_its_reverse_0_and_a_constant_one_half():
    order = torch.arange(9)
    assert ordinal_c_index(order, order // 2).item() == 1
    assert ordinal_c_index(-order, order // 2).item() == 0
    assert ordinal_c_index(torch.ones(9), order // 2).item() == 0.5


def test_nan_does_not_pass_for_a_tie():
    assert ordinal_c_index(torch.tensor([0.1, torch.nan, 0.3]), torch.tensor([0, 1, 2])).isnan()
