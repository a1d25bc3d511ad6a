# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.metrics import (
    EmbeddingCollapse,
    KendallTau,
    MacroF1Score,
    MacroRecall,
    MeanAbsoluteExponentialError,
    PairAccuracy,
)
from tests.metrics.data import collected, integers, scores

N = 24
GRADES = integers(N, 3)
ROWS = torch.stack([GRADES, torch.arange(N)], dim=1)
CASES = [
    (MacroF1Score, integers(N, 3, seed=1), GRADES),
    (MacroRecall, integers(N, 3, seed=1), GRADES),
    (MeanAbsoluteExponentialError, integers(N, 3, seed=1), GRADES),
    (KendallTau, scores(N), ROWS),
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
