# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.metrics import (
    EmbeddingCollapse,
    GradeAccuracy,
    GradeMeanAbsoluteError,
    KendallTau,
    MacroAUC,
    MacroF1Score,
    MacroMeanAbsoluteError,
    MacroRecall,
    MeanAbsoluteExponentialError,
    OneOffAccuracy,
    PairAccuracy,
    QuadraticWeightedKappa,
    RankedProbabilityScore,
    SpearmanCorrelation,
    grade_accuracy,
    grade_mean_absolute_error,
    kendall_tau,
    macro_auc,
    macro_f1_score,
    macro_mean_absolute_error,
    macro_recall,
    mean_absolute_exponential_error,
    one_off_accuracy,
    quadratic_weighted_kappa,
    ranked_probability_score,
    spearman_correlation,
)
from tests.metrics.data import collected, integers, probabilities, scores

N = 24
GRADES = integers(N, 3)
ROWS = torch.stack([GRADES, torch.arange(N)], dim=1)
PREDICTED = integers(N, 3, seed=1)
FUNCTIONS = [
    (GradeAccuracy, grade_accuracy, PREDICTED),
    (GradeMeanAbsoluteError, grade_mean_absolute_error, PREDICTED),
    (KendallTau, kendall_tau, scores(N)),
    (MacroAUC, macro_auc, probabilities(N, 4)),
    (MacroF1Score, macro_f1_score, PREDICTED),
    (MacroMeanAbsoluteError, macro_mean_absolute_error, PREDICTED),
    (MacroRecall, macro_recall, PREDICTED),
    (MeanAbsoluteExponentialError, mean_absolute_exponential_error, PREDICTED),
    (OneOffAccuracy, one_off_accuracy, PREDICTED),
    (QuadraticWeightedKappa, quadratic_weighted_kappa, PREDICTED),
    (RankedProbabilityScore, ranked_probability_score, probabilities(N, 4)),
    (SpearmanCorrelation, spearman_correlation, scores(N)),
]
CASES = [
    *((metric, y_pred, GRADES) for metric, _, y_pred in FUNCTIONS),
    (PairAccuracy, scores(N), ROWS),
    (EmbeddingCollapse, torch.randn(N, 5, generator=torch.Generator().manual_seed(0)), ROWS),
]
every_metric = pytest.mark.parametrize(("metric", "y_pred", "y"), CASES, ids=[case[0].__name__ for case in CASES])


@every_metric
@pytest.mark.parametrize("batches", [(1, N), (8, 16, N), range(1, N + 1)])
def test_several_batches_equal_one(metric, y_pred, y, batches):
    at_once = collected(metric(), y_pred, y)
    assert at_once.isfinite()
    assert torch.equal(collected(metric(), y_pred, y, batches=batches), at_once)


@every_metric
def test_a_list_of_single_images_equals_a_batch(metric, y_pred, y):
    listed = metric()
    listed(list(y_pred), list(y))
    assert torch.equal(listed.aggregate(), collected(metric(), y_pred, y))


@every_metric
def test_reset_forgets_what_was_collected(metric, y_pred, y):
    used = metric()
    collected(used, y_pred.flip(0), y)
    used.reset()
    assert torch.equal(collected(used, y_pred, y), collected(metric(), y_pred, y))


@every_metric
def test_aggregate_without_a_batch_is_refused(metric, y_pred, y):
    unused = metric()
    message = f"{metric.__name__}: nothing to aggregate, no batch was collected"
    with pytest.raises(ValueError, match=message):
        unused.aggregate()
    collected(unused, y_pred, y)
    unused.reset()
    with pytest.raises(ValueError, match=message):
        unused.aggregate()


@every_metric
def test_predictions_without_their_truths_are_refused(metric, y_pred, y):
    message = f"{metric.__name__}: y_pred and y must have one row an image"
    with pytest.raises(ValueError, match=message):
        metric()(y_pred, y[:-1])
    with pytest.raises(ValueError, match=message):
        metric()(y_pred)


@every_metric
def test_targets_of_more_columns_are_refused(metric, y_pred, y):
    with pytest.raises(ValueError, match=rf"{metric.__name__}: y must be grades .*got shape \({N}, 4\)"):
        metric()(y_pred, torch.eye(4)[GRADES])


@every_metric
def test_an_item_that_comes_again_counts_once(metric, y_pred, y):
    order = torch.tensor([7, 3, *range(N), 3, 0])
    repeated = collected(metric(), y_pred[order], ROWS[order], batches=(5, 20, len(order)))
    assert torch.equal(repeated, collected(metric(), y_pred, ROWS))


@every_metric
def test_an_item_of_two_grades_is_refused(metric, y_pred, y):
    mixed = metric()
    mixed(y_pred[:2], torch.tensor([[0, 5], [1, 5]]))
    with pytest.raises(ValueError, match=f"{metric.__name__}: one item index came with two grades"):
        mixed.aggregate()


every_function = pytest.mark.parametrize(
    ("metric", "function", "y_pred"), FUNCTIONS, ids=[case[0].__name__ for case in FUNCTIONS]
)


@every_function
@pytest.mark.parametrize("y", [GRADES, GRADES[:, None], ROWS], ids=["(N,)", "(N, 1)", "with index"])
def test_is_the_function_of_all_rows(metric, function, y_pred, y):
    column = y_pred if y_pred.ndim > 1 else y_pred[:, None]
    assert torch.equal(collected(metric(), column, y), function(y_pred, GRADES))


@every_function
def test_ungraded_images_are_left_out(metric, function, y_pred):
    ungraded = GRADES.clone()
    ungraded[::3] = -1
    assert torch.equal(collected(metric(), y_pred, ungraded), function(y_pred[ungraded >= 0], GRADES[ungraded >= 0]))
    assert collected(metric(), y_pred, torch.full((N,), -1)).isnan()
