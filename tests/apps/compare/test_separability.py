# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from monai_semise.apps.compare.separability import holm, paired_p_value, patient_weights, separate_from_best


def slow_holm(p_values):
    """By its definition: reject the smallest ones in turn, at level / (number left), and find the level at which each
    is first rejected."""
    ordered = sorted(p_values)
    n = len(ordered)
    adjusted = []
    for p_value in p_values:
        # rejected at a level when this and all smaller ones pass their own step
        steps = [(n - k) * other for k, other in enumerate(ordered) if other <= p_value]
        first = next(k for k, other in enumerate(ordered) if other == p_value)
        steps = steps[: first + 1]
        adjusted.append(min(1.0, max(steps)))
    return adjusted


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=8, unique=True))
def test_holm_equals_its_definition(p_values):
    found = holm({str(n): p_value for n, p_value in enumerate(p_values)})
    expected = slow_holm(p_values)
    assert [found[str(n)] for n in range(len(p_values))] == pytest.approx(expected)


def test_holm_is_not_stricter_than_bonferroni_nor_laxer_than_none():
    p_values = {"a": 0.001, "b": 0.02, "c": 0.04, "d": 0.5}
    found = holm(p_values)
    assert all(p_values[name] <= found[name] <= min(1, 4 * p_values[name]) for name in p_values)
    assert found["a"] == pytest.approx(0.004)


def test_weights_count_whole_patients():
    weight = patient_weights(["a", "b", "a", "c"], 500, seed=3)
    assert weight.shape == (4, 500)
    assert torch.equal(weight[0], weight[2])
    assert (weight[[0, 1, 3]].sum(dim=0) == 3).all()
    assert weight[1].mean() == pytest.approx(1, abs=0.1)
    assert torch.equal(weight, patient_weights(["a", "b", "a", "c"], 500, seed=3))


def test_resampled_means_match_scipys_bootstrap():
    values = np.random.default_rng(0).normal(size=40)
    weight = patient_weights(range(40), 4000)
    mine = (weight.numpy() * values[:, None]).sum(axis=0) / weight.numpy().sum(axis=0)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=0)
    assert np.quantile(mine, [0.025, 0.975]) == pytest.approx(list(theirs.confidence_interval), abs=0.03)
    assert mine.std() == pytest.approx(theirs.standard_error, rel=0.06)


def test_p_value_of_a_mean_is_near_that_of_the_t_test():
    values = np.random.default_rng(1).normal(loc=0.3, size=200)
    weight = patient_weights(range(200), 20000).numpy()
    resampled = torch.from_numpy((weight * values[:, None]).sum(axis=0) / 200)
    assert paired_p_value(resampled) == pytest.approx(stats.ttest_1samp(values - 0.0, 0).pvalue, abs=0.002)
    shifted = torch.from_numpy((weight * (values - 0.2)[:, None]).sum(axis=0) / 200)
    assert paired_p_value(shifted) == pytest.approx(stats.ttest_1samp(values - 0.2, 0).pvalue, abs=0.05)


@pytest.mark.parametrize("sign", [1, -1])
def test_p_value_is_two_sided_and_never_zero(sign):
    assert paired_p_value(sign * torch.arange(1.0, 100)) == pytest.approx(0.02)
    assert paired_p_value(torch.zeros(99)) == 1
    assert paired_p_value(torch.full((99,), float("nan"))) == 1


def test_p_value_leaves_out_undefined_resamples():
    known = torch.tensor([*[1.0] * 95, *[-1.0] * 4])
    with_nan = torch.cat([known, torch.full((50,), float("nan"))])
    assert paired_p_value(with_nan) == paired_p_value(known) == pytest.approx(0.1)


def test_the_difference_is_paired():
    """Two predictors that rise and fall together differ, although their own spread is far larger."""
    common = torch.randn(999, generator=torch.Generator().manual_seed(0))
    values = {"a": common + 0.01, "b": common, "c": -common}
    found = separate_from_best({"a": 0.01, "b": 0.0, "c": 0.0}, values, higher_is_better=True)
    assert (found.best, found.tied()) == ("a", ["c"])


def test_lower_is_better_and_undefined_predictors_are_left_out():
    values = {name: torch.full((999,), value) for name, value in {"a": 3.0, "b": 1.0, "c": 2.0, "d": 0.0}.items()}
    means = {"a": 3.0, "b": 1.0, "c": 2.0, "d": float("nan")}
    found = separate_from_best(means, values, higher_is_better=False)
    assert found.best == "b"
    assert list(found.p_values) == ["a", "c"]
    assert separate_from_best({"d": float("nan")}, values, higher_is_better=True) is None


def test_each_p_value_is_corrected_for_their_number():
    values = {name: torch.full((199,), float(n)) for n, name in enumerate("abcde")}
    means = {name: float(n) for n, name in enumerate("abcde")}
    found = separate_from_best(means, values, higher_is_better=True)
    assert list(itertools.chain(found.p_values.values())) == pytest.approx([4 * 0.01] * 4)
