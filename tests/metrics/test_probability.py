# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from sklearn.metrics import brier_score_loss, roc_auc_score
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_auroc

from monai_semise.metrics import (
    grade_mean_absolute_error,
    macro_auc,
    ranked_probability_score,
)
from monai_semise.utils import InputError
from tests.metrics.data import graded_images, integers, probabilities

BOTH = pytest.mark.parametrize("metric", [macro_auc, ranked_probability_score])


def with_ties(probability):
    """Rounded probabilities that sum to 1 still."""
    rounded = (probability * 4).round().clamp(min=1)
    return rounded / rounded.sum(1, keepdim=True)


@pytest.mark.parametrize("rounding", [torch.clone, with_ties])
@pytest.mark.parametrize("n_grades", [3, 5])
def test_macro_auc_equals_scikit_learn_and_torchmetrics(n_grades, rounding):
    y, y_pred = integers(200, n_grades - 1), rounding(probabilities(200, n_grades))
    ours = macro_auc(y_pred, y).item()
    assert ours == pytest.approx(roc_auc_score(y, y_pred, multi_class="ovr", average="macro"), abs=1e-12)
    assert ours == pytest.approx(multiclass_auroc(y_pred, y, n_grades, average="macro").item(), abs=1e-6)


def test_macro_auc_of_two_grades_is_the_binary_one_of_scikit_learn():
    y, y_pred = integers(100, 1), probabilities(100, 2)
    assert macro_auc(y_pred, y).item() == pytest.approx(roc_auc_score(y, y_pred[:, 1]), abs=1e-12)


@given(graded_images())
def test_macro_auc_is_the_mean_over_the_grades_that_occur(images):
    y, prediction, _ = images
    occurring = y.unique()
    if len(occurring) < 2:
        assert macro_auc(prediction.probability, y).isnan()
    else:
        areas = [roc_auc_score(y == grade, prediction.probability[:, grade]) for grade in occurring]
        assert macro_auc(prediction.probability, y).item() == pytest.approx(sum(areas) / len(areas), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_ranked_probability_score_equals_dlordinal(seed):
    dlordinal = pytest.importorskip("dlordinal.metrics")
    y, y_pred = integers(100, 4, seed), probabilities(100, 5, seed)
    expected = dlordinal.ranked_probability_score(y, y_pred)
    assert ranked_probability_score(y_pred, y).item() == pytest.approx(expected, abs=1e-12)


def test_ranked_probability_score_of_two_grades_is_the_brier_score_of_scikit_learn():
    y, y_pred = integers(100, 1), probabilities(100, 2)
    assert ranked_probability_score(y_pred, y).item() == pytest.approx(brier_score_loss(y, y_pred[:, 1]), abs=1e-12)


@given(graded_images())
def test_a_certain_prediction_scores_its_absolute_error(images):
    y, prediction, _ = images
    certain = F.one_hot(prediction.grade, 4)
    expected = grade_mean_absolute_error(prediction.grade, y).item()
    assert ranked_probability_score(certain, y).item() == pytest.approx(expected, abs=1e-12)


@BOTH
def test_nan_is_let_through(metric):
    y_pred = probabilities(6, 3)
    y_pred[2, 1] = torch.nan
    assert metric(y_pred, torch.tensor([0, 1, 2, 0, 1, 2])).isnan()


@BOTH
@pytest.mark.parametrize("grade", [-1, 3])
def test_a_grade_without_a_column_is_named(metric, grade):
    message = rf"true grade {grade} of image 1 has no column among the 3 given"
    with pytest.raises(InputError, match=message):
        metric(probabilities(2, 3), torch.tensor([0, grade]))


@BOTH
def test_grades_for_probabilities_are_refused(metric):
    with pytest.raises(InputError, match=r"expected one column a grade, shape \(N, K\), found \(4,\)"):
        metric(torch.zeros(4), torch.zeros(4).long())


@pytest.mark.parametrize("row", [[2.0, -1.0, 0.0], [0.5, 0.5, 0.5], [0.0, 0.0, 0.0]])
def test_logits_for_probabilities_are_refused(row):
    y_pred = torch.tensor([[0.2, 0.8, 0.0], row])
    with pytest.raises(InputError, match=r"probabilities\[1\]: .* are no probabilities that sum to 1; apply a softmax"):
        ranked_probability_score(y_pred, torch.tensor([0, 1]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_probabilities_of_every_precision_are_taken(dtype):
    y, y_pred = integers(500, 6), probabilities(500, 7)
    exact = ranked_probability_score(y_pred, y).item()
    assert ranked_probability_score(y_pred.to(dtype), y).item() == pytest.approx(exact, abs=2e-3)
