# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score

from monai_semise.comparison import rater_agreement
from tests.comparison.data import answer

OUTCOMES = np.array(["left", "right", "equal"])
MIRRORED = {"left": "right", "right": "left", "equal": "equal"}


def judged(outcomes, rater, start=0, mirrored=False):
    """One answer a pair; mirrored: with the images on the other side."""
    sides = [("b", "a") if mirrored else ("a", "b")] * len(outcomes)
    return [
        answer(f"{rater}-{n}", f"{a}{n - start}", f"{b}{n - start}", MIRRORED[outcome] if mirrored else outcome, rater)
        for n, (outcome, (a, b)) in enumerate(zip(outcomes, sides), start)
    ]


@pytest.fixture(scope="module")
def outcomes():
    random = np.random.default_rng(0)
    first = random.choice(OUTCOMES, 60, p=[0.5, 0.3, 0.2])
    second = np.where(random.random(60) < 0.7, first, random.choice(OUTCOMES, 60))
    return first, second


@pytest.mark.parametrize("mirrored", [False, True])
def test_equals_scikit_learn(outcomes, mirrored):
    first, second = outcomes
    found = rater_agreement([*judged(first, "x"), *judged(second, "y", mirrored=mirrored)])
    (between,) = found["between"]
    assert (between["raters"], between["pairs"], found["oneself"]) == (["x", "y"], 60, [])
    assert between["same"][0] == pytest.approx(accuracy_score(first, second))
    both_ways = [np.concatenate([rater, [MIRRORED[outcome] for outcome in rater]]) for rater in (first, second)]
    assert between["kappa"][0] == pytest.approx(cohen_kappa_score(*both_ways))
    for value, low, high in (between["same"], between["kappa"]):
        assert low < value < high


def test_with_oneself(outcomes):
    first, second = outcomes
    found = rater_agreement([*judged(first, "x"), *judged(second, "x", start=60)])
    assert found["between"] == []
    # the second round names its images from a0 again
    assert found["oneself"][0]["pairs"] == 60
    assert found["oneself"][0]["same"][0] == pytest.approx(accuracy_score(first, second))


def test_cannot_tell_is_left_out():
    answers = [answer(1), answer(2, outcome="cannot_tell", rater="y"), answer(3, outcome="cannot_tell")]
    assert rater_agreement(answers) == {"between": [], "oneself": []}


def test_a_single_pair_has_no_interval_and_raters_who_always_say_equal_no_kappa():
    found = rater_agreement([answer(1, outcome="equal"), answer(2, outcome="equal", rater="y")])
    assert found["between"][0]["same"] == [1.0, None, None]
    assert found["between"][0]["kappa"] == [None, None, None]
