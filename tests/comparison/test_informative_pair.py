# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import entr, expit

from monai_semise.comparison import Posterior, expected_information, fit_bradley_terry, informative_pair
from monai_semise.data import PreferencePair
from monai_semise.metrics import kendall_tau


def entropy(p):
    return (entr(p) + entr(1 - p)) / np.log(2)


@pytest.mark.parametrize(("mean", "variance"), [(0, 1), (0.5, 4), (2, 0.3), (-3, 8), (0, 8)])
def test_information_equals_its_definition(mean, variance):
    """Before the answer, less after it, by drawing severities; the probit and Houlsby's form cost up to 0.03 bits."""
    draws = np.random.default_rng(0).normal(mean, np.sqrt(variance), 200_000)
    expected = entropy(expit(draws).mean()) - entropy(expit(draws)).mean()
    information = expected_information(Posterior(np.array([mean, 0.0]), np.diag([variance, 0.0])))
    assert information[0, 1] == pytest.approx(information[1, 0], rel=1e-12)
    assert information[0, 1] == pytest.approx(expected, abs=0.03)


def test_correlation_between_images_lowers_what_their_comparison_tells():
    together = Posterior(np.zeros(2), np.array([[2.0, 1.9], [1.9, 2.0]]))
    apart = Posterior(np.zeros(2), 2 * np.eye(2))
    assert expected_information(together)[0, 1] < expected_information(apart)[0, 1] / 3


def test_excluded_pairs_are_not_taken():
    posterior = Posterior(np.array([0.0, 0.1, 5.0]), np.eye(3))
    random = np.random.default_rng(0)
    assert set(informative_pair(posterior, random=random)) == {0, 1}
    assert set(informative_pair(posterior, [(1, 0)], random)) == {1, 2}
    assert informative_pair(posterior, [(1, 0), (0, 2), (1, 2)], random) is None


def test_sides_are_drawn():
    posterior = Posterior(np.zeros(2), np.eye(2))
    random = np.random.default_rng(0)
    first = [informative_pair(posterior, random=random)[0] for _ in range(100)]
    assert 30 < sum(first) < 70


def tau_after(n_images, n_comparisons, informed, seed, flips=0.1):
    """Kendall's tau of the order with the true one after comparisons by a rater who errs."""
    random = np.random.default_rng(seed)
    truth = random.permutation(n_images)
    pairs, asked = [], set()
    nothing = posterior = fit_bradley_terry(n_images, [])
    for _ in range(n_comparisons):
        a, b = informative_pair(posterior if informed else nothing, asked, random)
        asked.add((a, b))
        pairs.append(PreferencePair(a, b, float((truth[a] > truth[b]) != (random.random() < flips))))
        if informed:
            posterior = fit_bradley_terry(n_images, pairs, start=posterior.mean)
    order = fit_bradley_terry(n_images, pairs).mean
    return float(kendall_tau(torch.as_tensor(order), torch.as_tensor(truth)))


def test_informative_choice_needs_at_most_half_of_the_comparisons_of_random_choice():
    n_images, n_random, seeds = 24, 160, range(3)
    random = np.mean([tau_after(n_images, n_random, False, seed) for seed in seeds])
    informed = np.mean([tau_after(n_images, n_random // 2, True, seed) for seed in seeds])
    assert informed >= random > 0.6


@pytest.mark.parametrize("n_images", [12, 24])
def test_n_log_n_comparisons_without_errors_order_the_images(n_images):
    assert tau_after(n_images, round(n_images * np.log2(n_images)), True, seed=0, flips=0) > 0.97
