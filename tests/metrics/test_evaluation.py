# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from monai_semise.metrics import (
    BASELINES,
    MEASURES,
    GradePrediction,
    bootstrap_intervals,
    constant_majority,
    evaluate_predictions,
    stratified_random,
)
from monai_semise.utils import InputError
from tests.metrics.data import CONSTANT_ROWS, integers, printed_like, probabilities, scores

N = 120
Y = integers(N, 3)
TRAINING = integers(200, 3, seed=9)
PATIENTS = [f"patient-{n // 3}" for n in range(N)]
GOOD = GradePrediction(
    grade=torch.where(scores(N, seed=2) < 0.7, Y, integers(N, 3, seed=1)),
    probability=(probabilities(N, 4) + torch.eye(4)[Y]) / 2,
    score=Y + scores(N, seed=3) * 2,
)
evaluate = partial(evaluate_predictions, training_grades=TRAINING, groups=PATIENTS, n_resamples=100)


def test_holds_every_metric_of_the_predictor_and_of_both_baselines():
    table = evaluate(Y, {"ours": GOOD})
    assert list(table.rows) == ["ours", "constant-majority", "stratified-random"] == ["ours", *BASELINES]
    assert all(list(row) == list(MEASURES) for row in table.rows.values())
    assert (table.n_images, table.n_groups) == (N, N // 3)
    assert table.warnings == []
    # the tensor of the same patients and its names are alike
    by_number = evaluate(Y, {"ours": GOOD}, groups=torch.arange(N) // 3)
    assert str(by_number) == str(table)


def test_each_interval_is_that_of_the_metric_alone():
    table = evaluate(Y, {"ours": GOOD}, confidence=0.8, seed=5)
    predictions = (GOOD, constant_majority(TRAINING, N, 4), stratified_random(TRAINING, N, 4, seed=5))
    for row, prediction in zip(table.rows.values(), predictions):
        for name, measure in MEASURES.items():
            metric = {name: partial(measure.function, getattr(prediction, measure.part), Y)}
            alone = bootstrap_intervals(metric, PATIENTS, n_resamples=100, confidence=0.8, seed=5)[name]
            assert row[name] == pytest.approx(alone, nan_ok=True, abs=1e-12)


@pytest.mark.parametrize("row", CONSTANT_ROWS.values(), ids=CONSTANT_ROWS)
def test_a_network_like_the_constant_rows_of_the_paper_stands_beside_its_equal_and_is_named(row):
    y_pred, y = row.grades()
    table = evaluate_predictions(
        y, {"ours": GradePrediction(y_pred)}, training_grades=y, groups=range(len(y)), n_resamples=20
    )
    assert table.rows["ours"] == table.rows["constant-majority"]
    assert printed_like(table.rows["ours"]["maee"].value, row.maee) == row.maee
    assert table.warnings == [f"ours: all {len(y)} images get grade 0, which makes it a constant predictor"]


def test_a_predictor_that_is_all_but_constant_is_named_too():
    y_pred, y = CONSTANT_ROWS["vindr"].grades()
    y_pred[5] = 1
    table = evaluate_predictions(
        y, {"ours": GradePrediction(y_pred)}, training_grades=y, groups=range(len(y)), n_resamples=100
    )
    (warning,) = table.warnings
    assert warning.startswith("ours: macro recall 0.200 [0.200, 0.200] is not shown to lie above 1/5 = 0.200")


def test_a_random_predictor_is_named():
    random = GradePrediction(integers(N, 3, seed=7), score=scores(N, seed=8))
    recall, c_index = evaluate(Y, {"theirs": random, "ours": GOOD}).warnings
    assert recall.startswith("theirs: macro recall")
    assert "is not shown to lie above 1/4 = 0.250" in recall
    assert c_index.startswith("theirs: C-index")
    assert "is not shown to lie above 0.5" in c_index


def test_better_than_chance_by_luck_is_not_enough():
    y = torch.tensor([0, 1]).repeat(10)
    lucky = torch.where(torch.arange(20) < 12, y, 1 - y)
    table = evaluate_predictions(
        y, {"ours": GradePrediction(lucky, score=lucky.double())}, training_grades=y, groups=range(20)
    )
    row = table.rows["ours"]
    assert row["macro_recall"].value == row["c_index"].value == pytest.approx(0.6)
    recall, c_index = table.warnings
    assert recall.startswith("ours: macro recall 0.600 [0.")
    assert c_index.startswith("ours: C-index 0.600 [0.")


def test_a_constant_score_is_named_once():
    assert evaluate(Y, {"ours": GradePrediction(GOOD.grade, score=torch.ones(N))}).warnings == [
        f"ours: all {N} images get the same severity score, which orders nothing"
    ]


def test_what_the_baselines_score():
    rows = evaluate(Y, {"ours": GOOD}).rows
    constant, random = (rows[name] for name in BASELINES)
    assert constant["macro_recall"][:3] == (0.25, 0.25, 0.25)
    assert constant["quadratic_weighted_kappa"].value == 0
    assert constant["c_index"].value == constant["macro_auc"].value == random["macro_auc"].value == 0.5
    assert math.isnan(constant["kendall_tau"].value)
    assert constant["ranked_probability_score"].value == pytest.approx(constant["mae"].value)
    for name, chance in (("macro_recall", 0.25), ("quadratic_weighted_kappa", 0), ("c_index", 0.5), ("kendall_tau", 0)):
        assert random[name].low < chance < random[name].high


def test_metrics_of_what_no_predictor_gives_are_left_out():
    table = evaluate(
        Y, {"grades": GradePrediction(GOOD.grade), "scores": GradePrediction(GOOD.grade, score=GOOD.score)}
    )
    parts = {name: {MEASURES[metric].part for metric in row} for name, row in table.rows.items()}
    assert parts.pop("grades") == {"grade"}
    assert all(found == {"grade", "score"} for found in parts.values())
    assert set(parts) == {"scores", *BASELINES}


@pytest.mark.parametrize(("y", "training", "mae"), [([0, 5], [7, 7, 2], 4.5), ([1, 7], [2, 2, 5], 3.0)])
def test_grades_that_only_training_or_truth_has_are_among_those_of_the_baselines(y, training, mae):
    y = torch.tensor(y)
    ours = GradePrediction(torch.tensor([6, 0]), torch.eye(8)[:2])
    table = evaluate_predictions(y, {"ours": ours}, torch.tensor(training), groups=range(2), n_resamples=10)
    assert table.rows["constant-majority"]["mae"].value == mae
    assert table.rows["constant-majority"]["ranked_probability_score"].value == mae


@pytest.mark.parametrize("n_patients", [1, 19, 20])
def test_few_patients_are_told_of(n_patients):
    table = evaluate(Y, {"ours": GOOD}, groups=[n % n_patients for n in range(N)])
    told = [warning for warning in table.warnings if "too narrow" in warning]
    expected = f"{n_patients} patients or groups: intervals from fewer than 20 are too narrow"
    assert told == ([expected] if n_patients < 20 else [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": PATIENTS[1:]}, "120 true grades and 119 groups"),
        ({"y": torch.cat([Y[:-1], torch.tensor([-1])])}, "image 119 has the true grade -1; leave ungraded images out"),
        ({"predictions": {"ours": GradePrediction(Y[1:])}}, "ours has 119 rows of grade for 120 images"),
        ({"predictions": {"ours": GradePrediction(Y, score=Y[1:])}}, "ours has 119 rows of score for 120 images"),
        ({"predictions": {BASELINES[0]: GOOD}}, '"constant-majority" is the name of a baseline'),
        ({"y": Y[:0], "predictions": {"ours": GradePrediction(Y[:0])}, "groups": []}, "no image to measure"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        evaluate(**{"y": Y, "predictions": {"ours": GOOD}, **change})


@pytest.mark.parametrize("training_grades", [torch.tensor([-1, -1]), torch.tensor([], dtype=torch.long)])
def test_without_a_training_grade_there_are_no_baselines_and_it_is_said(training_grades):
    y = torch.tensor([0, 1, 2] * 10)
    table = evaluate_predictions(y, {"model": GradePrediction(y)}, training_grades, range(30), n_resamples=20)
    assert set(table.rows) == {"model"}
    assert table.rows["model"]["macro_f1"].value == 1
    assert "no training image is graded" in table.warnings[-1]
