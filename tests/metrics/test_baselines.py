# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from sklearn.dummy import DummyClassifier

from monai_semise.metrics import (
    GradePrediction,
    constant_majority,
    constant_warnings,
    is_constant,
    stratified_random,
)
from monai_semise.utils import InputError

TRAINING = torch.tensor([2, 0, 0, 3, 0, 2, -1, -1, -1, -1])
GRADED = TRAINING[TRAINING >= 0]


def dummy(strategy):
    return DummyClassifier(strategy=strategy).fit(torch.zeros(len(GRADED), 1), GRADED)


def test_the_majority_is_that_of_scikit_learn():
    prediction = constant_majority(TRAINING, 4, 5)
    assert prediction.grade.tolist() == dummy("most_frequent").predict(torch.zeros(4, 1)).tolist() == [0] * 4
    assert prediction.probability.tolist() == [[1, 0, 0, 0, 0]] * 4
    assert prediction.score.tolist() == [0] * 4


def test_of_several_majorities_the_lowest_is_taken():
    assert constant_majority(torch.tensor([3, 1, 3, 1, 2]), 1, 4).grade.tolist() == [1]


def test_the_draws_have_the_frequencies_of_scikit_learn():
    prediction = stratified_random(TRAINING, 50_000, 5)
    expected = torch.zeros(5, dtype=torch.float64)
    expected[[0, 2, 3]] = torch.as_tensor(dummy("prior").predict_proba(torch.zeros(1, 1))[0])
    torch.testing.assert_close(prediction.probability, expected.expand(50_000, 5))
    drawn = torch.bincount(prediction.grade, minlength=5) / 50_000
    torch.testing.assert_close(drawn.double(), expected, atol=0.01, rtol=0)
    assert torch.equal(prediction.score, prediction.grade.double())


def test_the_seed_decides_the_draws():
    first, again, other = (stratified_random(TRAINING, 30, 4, seed).grade for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("baseline", [constant_majority, stratified_random])
def test_training_grades_that_make_no_baseline_are_refused(baseline):
    with pytest.raises(InputError, match="training grades: none is graded"):
        baseline(torch.tensor([-1, -1]), 3, 2)
    with pytest.raises(InputError, match="training grades: 3 is none of the 3 grades from 0"):
        baseline(TRAINING, 3, 3)


@pytest.mark.parametrize(
    "values",
    [
        torch.tensor([2, 2, 2]),
        torch.zeros(3),
        torch.full((4, 3), 1 / 3),
        torch.tensor([0.7, 0.7000001, 0.7]),
        torch.tensor([-400.0, -400.0001]),
    ],
)
def test_the_same_for_every_image_is_constant(values):
    assert is_constant(values)


@pytest.mark.parametrize(
    "values",
    [
        torch.tensor([2, 2, 1]),
        torch.tensor([0, 0, 1]),
        torch.tensor([[0.5, 0.5], [0.4, 0.6]]),
        torch.tensor([1e-9, 2e-9]),
        torch.tensor([torch.nan, torch.nan]),
        torch.tensor([3]),
    ],
)
def test_anything_else_is_not(values):
    assert not is_constant(values)


def test_each_constant_part_is_named():
    prediction = GradePrediction(torch.tensor([1, 1]), torch.tensor([[0.2, 0.8]] * 2), torch.tensor([0.3, 0.3]))
    assert constant_warnings("ours", prediction) == [
        "ours: all 2 images get grade 1, which makes it a constant predictor",
        "ours: all 2 images get the same probabilities, which makes it a constant predictor",
        "ours: all 2 images get the same severity score, which orders nothing",
    ]
    assert len(constant_warnings("ours", constant_majority(TRAINING, 3, 4))) == 3


def test_a_prediction_that_varies_is_not_warned_of():
    varying = GradePrediction(torch.tensor([1, 0]), torch.tensor([[0.2, 0.8], [0.6, 0.4]]), torch.tensor([0.3, 0.1]))
    assert constant_warnings("ours", varying) == []
    assert constant_warnings("ours", GradePrediction(torch.tensor([1, 0]))) == []
