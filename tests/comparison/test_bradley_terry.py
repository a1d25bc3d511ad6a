# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import choix
import numpy as np
import pytest
from scipy.special import expit

from monai_semise.comparison import fit_bradley_terry
from monai_semise.data import PreferencePair


def random_pairs(n_images, n_pairs, seed):
    random = np.random.default_rng(seed)
    severity = random.normal(size=n_images)
    drawn = [random.choice(n_images, 2, replace=False) for _ in range(n_pairs)]
    return [PreferencePair(int(a), int(b), float(random.random() < expit(severity[a] - severity[b]))) for a, b in drawn]


@pytest.mark.parametrize("seed", range(3))
def test_mean_equals_choix(seed):
    pairs = random_pairs(8, 60, seed)
    wins = [(a, b) if preference == 1 else (b, a) for a, b, preference, _ in pairs]
    expected = choix.opt_pairwise(8, wins, alpha=1 / (2 * 4.0))  # its penalty is alpha * |s|^2
    assert fit_bradley_terry(8, pairs, prior_variance=4.0).mean == pytest.approx(expected, abs=1e-3)


def test_the_mean_is_where_the_gradient_vanishes_and_the_covariance_is_the_inverse_hessian():
    pairs = [*random_pairs(6, 30, 0), PreferencePair(0, 5, 0.5, 2.5)]
    posterior = fit_bradley_terry(6, pairs, prior_variance=3.0)
    gradient, hessian = posterior.mean / 3.0, np.eye(6) / 3.0
    for a, b, preference, weight in pairs:
        direction = np.eye(6)[a] - np.eye(6)[b]
        worse = expit(posterior.mean @ direction)
        gradient = gradient + weight * (worse - preference) * direction
        hessian = hessian + weight * worse * (1 - worse) * np.outer(direction, direction)
    assert gradient == pytest.approx(np.zeros(6), abs=1e-4)
    assert posterior.covariance == pytest.approx(np.linalg.inv(hessian), abs=1e-6)
    assert posterior.deviation**2 == pytest.approx(np.diag(posterior.covariance))


def test_a_tie_is_half_a_comparison_each_way():
    tie = [PreferencePair(0, 1, 0.5, 2.0), PreferencePair(1, 2, 1.0)]
    halves = [PreferencePair(0, 1, 1.0), PreferencePair(1, 0, 1.0), PreferencePair(1, 2, 1.0)]
    for one, other in zip(fit_bradley_terry(3, tie), fit_bradley_terry(3, halves)):
        assert one == pytest.approx(other, abs=1e-4)


def test_no_comparison_leaves_the_prior():
    posterior = fit_bradley_terry(3, [], prior_variance=2.0)
    assert posterior.mean.tolist() == [0, 0, 0]
    assert posterior.covariance == pytest.approx(2 * np.eye(3))


def test_the_start_does_not_matter():
    pairs = random_pairs(10, 40, 1)
    far = fit_bradley_terry(10, pairs, start=np.linspace(-5, 5, 10))
    assert far.mean == pytest.approx(fit_bradley_terry(10, pairs).mean, abs=1e-3)


def test_comparisons_without_a_cycle_stay_finite():
    chain = [PreferencePair(n, n + 1, 1.0) for n in range(30)] * 50
    posterior = fit_bradley_terry(31, chain)
    assert np.isfinite(posterior.mean).all()
    assert (np.diff(posterior.mean) < 0).all()
