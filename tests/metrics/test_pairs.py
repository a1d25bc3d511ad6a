# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools

import pytest
import torch

from monai_semise.metrics import PairAccuracy, pair_accuracy
from tests.metrics.data import collected, integers, scores


def brute_force(score, pairs, preference):
    """Pair by pair: 1 for the right order, one half for equal scores."""
    credit = []
    for (a, b), p in zip(pairs, preference):
        if p != 0.5:
            worse, better = (a, b) if p > 0.5 else (b, a)
            credit.append(1.0 if score[worse] > score[better] else 0.5 if score[worse] == score[better] else 0.0)
    return sum(credit) / len(credit) if credit else float("nan")


def rows(severity):
    """Targets as the validation gives them: severity and item index."""
    return torch.stack([severity, torch.arange(len(severity))], dim=1)


def coarse(score):
    """Scores with many equal ones."""
    return (score * 5).round() / 5


@pytest.mark.parametrize("rounding", [torch.clone, coarse])
@pytest.mark.parametrize("preferences", [[0.0, 1.0], [0.0, 0.5, 1.0], [0.1, 0.4, 0.6, 1.0], [0.5]])
def test_equals_brute_force(preferences, rounding):
    score, pairs = rounding(scores(12)), integers(80, 11, seed=1).reshape(40, 2)
    preference = torch.tensor(preferences)[integers(40, len(preferences) - 1, seed=2)]
    expected = brute_force(score.tolist(), pairs.tolist(), preference.tolist())
    assert pair_accuracy(score, pairs, preference).item() == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("rounding", [torch.clone, coarse])
@pytest.mark.parametrize("include_healthy", [False, True])
@pytest.mark.parametrize("n", [2, 9, 40])
def test_without_pairs_compares_all_of_unlike_grade(n, include_healthy, rounding):
    score, severity = rounding(scores(n)), integers(n, 3, seed=n, lowest=-1)
    lowest = 0 if include_healthy else 1
    pairs = [
        (a, b)
        for a, b in itertools.combinations(range(n), 2)
        if min(severity[a], severity[b]) >= lowest and severity[a] != severity[b]
    ]
    expected = brute_force(score.tolist(), pairs, [float(severity[a] > severity[b]) for a, b in pairs])
    metric = PairAccuracy(include_healthy=include_healthy)
    assert collected(metric, score[:, None], rows(severity)).item() == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_given_pairs_are_found_by_item_index_in_whatever_order_the_images_come():
    score, order = scores(10), torch.randperm(10, generator=torch.Generator().manual_seed(0))
    pairs = [(0, 9, 1.0, 1.0), (3, 2, 0.0, 2.0), (5, 5, 0.5, 1.0), (8, 1, 0.9, 1.0)]
    expected = brute_force(score.tolist(), [pair[:2] for pair in pairs], [pair[2] for pair in pairs])
    ungraded = rows(torch.full((10,), -1))
    assert collected(PairAccuracy(pairs), score[order], ungraded[order], batches=(4, 10)).item() == expected


def test_an_image_met_twice_counts_once():
    metric = PairAccuracy([(0, 1, 1.0, 1.0)])
    y = torch.tensor([[1, 0], [0, 1], [1, 0]])
    assert collected(metric, torch.tensor([0.9, 0.1, 0.9]), y).item() == 1


@pytest.mark.parametrize("missing", [2, 7])
def test_a_pair_whose_image_has_no_score_is_named(missing):
    metric = PairAccuracy([(0, 1, 1.0, 1.0), (1, missing, 1.0, 1.0)])
    metric(torch.rand(3), torch.tensor([[0, 0], [1, 1], [2, 5]]))
    with pytest.raises(ValueError, match=f"the pairs name item {missing}, which has no score"):
        metric.aggregate()


@pytest.mark.parametrize("pairs", [None, [], [(0, 1, 0.5, 1.0)]])
def test_without_a_comparable_pair_the_value_is_nan(pairs):
    assert collected(PairAccuracy(pairs), torch.rand(3), rows(torch.tensor([1, 1, 0]))).isnan()


def test_a_score_that_is_not_finite_is_no_missing_one():
    metric = PairAccuracy([(0, 1, 1.0, 1.0)])
    metric(torch.tensor([torch.nan, 0.0]), torch.tensor([[1, 0], [0, 1]]))
    assert metric.aggregate().isnan()
