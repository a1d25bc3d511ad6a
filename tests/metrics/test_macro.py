# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score, recall_score
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_recall

from monai_semise.metrics import MacroF1Score, MacroRecall, macro_f1_score, macro_recall
from tests.metrics.data import CONSTANT_ROWS, collected, integers, printed_like


def macro_recall_of_sklearn(y, y_pred):
    # over the true grades: a grade that is only predicted has no recall
    return recall_score(y, y_pred, average="macro", zero_division=0, labels=y.unique())


@pytest.mark.parametrize(("n", "highest_true", "highest_predicted"), [(1, 0, 3), (5, 4, 4), (50, 2, 6), (500, 6, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_equal_scikit_learn(n, highest_true, highest_predicted, seed):
    y, y_pred = integers(n, highest_true, seed), integers(n, highest_predicted, seed + 100)
    expected = f1_score(y, y_pred, average="macro", zero_division=0)
    assert macro_f1_score(y_pred, y).item() == pytest.approx(expected, abs=1e-12)
    assert macro_recall(y_pred, y).item() == pytest.approx(macro_recall_of_sklearn(y, y_pred), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_equal_torchmetrics_where_every_grade_occurs(seed):
    y, y_pred = integers(200, 4, seed), integers(200, 4, seed + 100)
    f1, recall = (ours(y_pred, y).item() for ours in (macro_f1_score, macro_recall))
    assert f1 == pytest.approx(multiclass_f1_score(y_pred, y, 5, average="macro").item(), abs=1e-6)
    assert recall == pytest.approx(multiclass_recall(y_pred, y, 5, average="macro").item(), abs=1e-6)


@pytest.mark.parametrize("row", CONSTANT_ROWS.values(), ids=CONSTANT_ROWS)
def test_constant_rows_of_the_paper(row):
    y_pred, y = row.grades()
    assert printed_like(100 * collected(MacroF1Score(), y_pred, y), row.f1) == row.f1
    assert printed_like(100 * collected(MacroRecall(), y_pred, y), row.recall) == row.recall


@pytest.mark.parametrize("grades", [[0, 1, 2], [5, 5], [3, 0, 9, 9]])
def test_a_perfect_prediction_scores_1(grades):
    grades = torch.tensor(grades)
    assert macro_f1_score(grades, grades).item() == 1
    assert macro_recall(grades, grades).item() == 1
