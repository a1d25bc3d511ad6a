# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from sklearn.metrics import cohen_kappa_score
from torchmetrics.functional.classification import multiclass_cohen_kappa

from monai_semise.metrics import quadratic_weighted_kappa
from tests.metrics.data import CONSTANT_ROWS, graded_images, integers


@given(graded_images())
@pytest.mark.filterwarnings("ignore:invalid value encountered", "ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_equals_scikit_learn_with_all_grades_as_labels(images):
    y, prediction, _ = images
    expected = cohen_kappa_score(y, prediction.grade, weights="quadratic", labels=range(4))
    ours = quadratic_weighted_kappa(prediction.grade, y).item()
    assert ours == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_equals_torchmetrics(seed):
    y, y_pred = integers(300, 4, seed), integers(300, 4, seed + 100)
    expected = multiclass_cohen_kappa(y_pred, y, 5, weights="quadratic").item()
    assert quadratic_weighted_kappa(y_pred, y).item() == pytest.approx(expected, abs=1e-6)


def test_grades_keep_their_distance_where_one_between_them_does_not_occur():
    y, y_pred = torch.tensor([0, 1, 3, 3]), torch.tensor([0, 0, 3, 1])
    # squared errors 0 + 1 + 0 + 4; of each prediction with all truths 19 + 19 + 13 + 9
    assert quadratic_weighted_kappa(y_pred, y).item() == pytest.approx(1 - 5 / (60 / 4))


@pytest.mark.parametrize("row", CONSTANT_ROWS.values(), ids=CONSTANT_ROWS)
def test_a_constant_predictor_scores_0(row):
    assert quadratic_weighted_kappa(*row.grades()).item() == 0


def test_one_grade_alone_has_no_kappa():
    assert quadratic_weighted_kappa(torch.tensor([2, 2]), torch.tensor([2, 2])).isnan()
