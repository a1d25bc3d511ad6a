# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from sklearn.metrics import f1_score

from monai_semise.metrics import (
    bootstrap,
    bootstrap_intervals,
    grade_accuracy,
    image_mean,
    kendall_tau,
    macro_f1_score,
    macro_recall,
    ordinal_c_index,
    quadratic_weighted_kappa,
)
from monai_semise.utils import InputError
from tests.metrics.data import graded_images, integers, scores


def image_count(weight):
    return weight.sum(0)


def clustered(n_patients, images_each, seed):
    """Grades, scores and patients; the error of a score is mostly that of its patient."""
    generator = torch.Generator().manual_seed(seed)
    y = integers(n_patients, 2, seed)
    latent = y + torch.randn(n_patients, generator=generator)
    patient = torch.arange(n_patients).repeat_interleave(images_each)
    return y[patient], latent[patient] + 0.3 * torch.randn(len(patient), generator=generator), patient


def metrics_of(y, score):
    y_pred = score.round().clamp(0, 2).long()
    return {
        **{f.__name__: partial(f, y_pred, y) for f in (grade_accuracy, macro_recall, quadratic_weighted_kappa)},
        "ordinal_c_index": partial(ordinal_c_index, score, y),
    }


def test_patient_intervals_cover_the_true_value_as_often_as_they_say_and_image_intervals_do_not():
    y, score, _ = clustered(30000, 10, seed=10**6)
    truth = {name: metric(torch.ones(len(y))).item() for name, metric in metrics_of(y, score).items()}
    n_data_sets = 200
    covered = {groups: dict.fromkeys(truth, 0) for groups in ("patients", "images")}
    for seed in range(n_data_sets):
        y, score, patient = clustered(40, 10, seed)
        for groups, ids in (("patients", patient), ("images", range(len(y)))):
            intervals = bootstrap_intervals(metrics_of(y, score), ids, n_resamples=300, seed=seed)
            for name, interval in intervals.items():
                covered[groups][name] += interval.low <= truth[name] <= interval.high
    for name in truth:
        assert 0.9 <= covered["patients"][name] / n_data_sets <= 0.98, name
        assert covered["images"][name] / n_data_sets <= 0.65, name


@given(graded_images(min_size=2))
def test_equals_resampling_the_rows_patient_by_patient(images):
    y, prediction, patient = images
    n_resamples = 7
    interval = bootstrap_intervals(
        {"f1": partial(macro_f1_score, prediction.grade, y)}, patient, n_resamples, confidence=0.5, seed=3
    )["f1"]
    ids = list(dict.fromkeys(patient.tolist()))
    generator = torch.Generator().manual_seed(3)
    values = []
    for drawn in torch.randint(len(ids), (n_resamples, len(ids)), generator=generator):
        rows = torch.cat([(patient == ids[n]).nonzero().flatten() for n in drawn.tolist()])
        values.append(f1_score(y[rows], prediction.grade[rows], average="macro", zero_division=0))
    assert interval.value == pytest.approx(f1_score(y, prediction.grade, average="macro", zero_division=0), abs=1e-12)
    if len(ids) > 1:
        expected = torch.tensor(values, dtype=torch.float64).quantile(torch.tensor([0.25, 0.75]).double())
        assert interval[1:3] == pytest.approx(expected.tolist(), abs=1e-12)


def test_a_patient_is_drawn_with_all_images():
    groups = ["b", "a", "b", "c", "b", "a"]
    seen = []

    def record(weight):
        seen.append(weight)
        return weight.sum(0)

    intervals = bootstrap_intervals({"count": record}, groups, n_resamples=500)
    weight, _ = seen  # all resamples at once, then the images as they are
    assert torch.equal(weight[0], weight[2])
    assert torch.equal(weight[0], weight[4])
    assert torch.equal(weight[1], weight[5])
    assert (weight[[0, 1, 3]].sum(0) == 3).all()  # as many patients as there are
    assert intervals["count"].value == 6
    assert intervals["count"].low == 3  # c three times
    assert intervals["count"].high == 9


@pytest.mark.parametrize(
    "ids", [torch.tensor([7, 7, 3, 9]), [7, 7, 3, 9], ["p", "p", "q", None], [(1, 2), (1, 2), 0, 1]]
)
def test_groups_are_known_by_whatever_names_them(ids):
    metrics = {"mean": partial(image_mean, scores(4))}
    assert bootstrap_intervals(metrics, ids) == bootstrap_intervals(metrics, [0, 0, 1, 2])


def test_the_seed_decides_and_other_metrics_do_not_matter():
    values, groups = scores(50), integers(50, 9)
    mean, middle = partial(image_mean, values), partial(image_mean, values.square())
    alone = bootstrap_intervals({"mean": mean}, groups, n_resamples=200)
    assert bootstrap_intervals({"middle": middle, "mean": mean}, groups, n_resamples=200)["mean"] == alone["mean"]
    assert bootstrap_intervals({"mean": mean}, groups, n_resamples=200, seed=1) != alone


@pytest.mark.parametrize("elements", [1, 1000, 10**9])
def test_chunks_do_not_change_the_intervals(monkeypatch, elements):
    metrics, groups = {"mean": partial(image_mean, integers(50, 4))}, integers(50, 9)
    at_once = bootstrap_intervals(metrics, groups, n_resamples=300)
    monkeypatch.setattr(bootstrap, "_CHUNK_ELEMENTS", elements)
    assert bootstrap_intervals(metrics, groups, n_resamples=300) == at_once


def test_a_wider_confidence_gives_a_wider_interval_that_holds_the_other():
    metrics = {"mean": partial(image_mean, scores(60))}
    narrow, wide = (bootstrap_intervals(metrics, range(60), confidence=c)["mean"] for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_the_difference_of_two_models_is_a_metric():
    y = integers(80, 2)
    better, worse = y.clone(), y.clone()
    better[:10], worse[:30] = 3, 3

    def difference(weight):
        return grade_accuracy(better, y, weight) - grade_accuracy(worse, y, weight)

    interval = bootstrap_intervals({"difference": difference}, range(80))["difference"]
    assert interval.value == pytest.approx(20 / 80)
    assert 0.1 < interval.low < 0.2
    assert 0.3 < interval.high < 0.4


def test_resamples_without_a_value_are_left_out_and_told():
    # of three patients, (2/3)³ of the resamples lack the one with grade 1, and 1/27 have no other
    y, score = torch.tensor([0, 0, 1]), torch.tensor([0.1, 0.2, 0.9])
    metrics = {"tau": partial(kendall_tau, score, y), "count": image_count}
    sure, unsure = (bootstrap_intervals(metrics, range(3), 4000, confidence)["tau"] for confidence in (0.95, 0.5))
    assert unsure.undefined == sure.undefined == pytest.approx(9 / 27, abs=0.02)
    assert sure.value == unsure.value == pytest.approx(math.sqrt(2 / 3))
    assert math.isnan(sure.low)
    assert math.isnan(sure.high)
    # what is defined: 0, 0', 1 in equal numbers (tau √(2/3)), or one of the zeros missing (tau 1)
    assert unsure.low == pytest.approx(math.sqrt(2 / 3))
    assert unsure.high == 1


def test_no_resample_is_kept_for_a_gradient():
    values = scores(9).requires_grad_()
    means = []

    def mean(weight):
        means.append(image_mean(values, weight))
        return means[-1]

    assert bootstrap_intervals({"mean": mean}, range(9))["mean"].value == pytest.approx(values.mean().item())
    assert not any(mean.requires_grad for mean in means)


def test_a_metric_without_a_value_has_no_interval():
    interval = bootstrap_intervals({"tau": partial(kendall_tau, torch.zeros(9), integers(9, 2))}, range(9))["tau"]
    assert all(math.isnan(end) for end in interval[:3])
    assert interval.undefined == 1


def test_one_patient_alone_has_no_interval():
    interval = bootstrap_intervals({"mean": partial(image_mean, torch.tensor([0.0, 1.0]))}, ["anna", "anna"])["mean"]
    assert interval.value == 0.5
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)


@pytest.mark.parametrize(
    ("groups", "options", "message"),
    [
        ([], {}, "no image to resample"),
        ([1], {"n_resamples": 0}, "found 0, 0.95"),
        ([1], {"confidence": 95}, "found 2000, 95"),
        ([1], {"confidence": 0}, "found 2000, 0"),
    ],
)
def test_what_cannot_be_resampled_is_refused(groups, options, message):
    with pytest.raises(InputError, match=message):
        bootstrap_intervals({"count": image_count}, groups, **options)
