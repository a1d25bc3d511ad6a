# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad
from scipy.special import expit

from monai_semise.comparison import ImpliedPreference, fit_bradley_terry
from monai_semise.data import PreferencePair
from monai_semise.losses import rank_n_contrast_loss
from monai_semise.losses.comparison import ComparisonLoss
from monai_semise.utils import InputError

CHAIN = [PreferencePair(n, n + 2, 0.0) for n in range(10, 20, 2)] * 3  # 10, 12, ... 20, each worse than the one before


def test_the_preference_is_the_mean_over_the_posterior():
    pairs = [PreferencePair(4, 9, 1.0), PreferencePair(9, 4, 0.0), PreferencePair(9, 4, 1.0)]
    posterior = fit_bradley_terry(2, [pair._replace(a=int(pair.a == 9), b=int(pair.b == 9)) for pair in pairs])
    precision = np.linalg.inv(posterior.covariance)

    def density(y, x):
        offset = np.array([x, y]) - posterior.mean
        return np.exp(-offset @ precision @ offset / 2) / (2 * np.pi * np.sqrt(np.linalg.det(posterior.covariance)))

    exact, _ = dblquad(lambda y, x: expit(x - y) * density(y, x), -12, 12, -12, 12, epsabs=1e-4)
    order = ImpliedPreference(pairs)
    assert order.pairs(torch.tensor([4, 9]))[1].item() == pytest.approx(exact, abs=0.01)
    assert order.pairs(torch.tensor([9, 4]))[1].item() == pytest.approx(1 - exact, abs=0.01)


def test_all_compared_images_of_a_batch_are_paired():
    order = ImpliedPreference(CHAIN)
    index = torch.tensor([18, 11, 10, 99, 14, 0])  # 11, 99 and 0 were never compared
    pairs, preference = order.pairs(index)
    assert pairs.tolist() == [[0, 2], [0, 4], [2, 4]]
    assert (preference > 0.5).tolist() == [True, True, False]
    severity = order.severity(index)
    assert severity.dtype == torch.float32
    assert severity[[1, 3, 5]].tolist() == [-1.0, -1.0, -1.0]
    assert 0 == severity[2] < severity[4] < severity[0]


def test_distant_images_are_told_apart_with_more_confidence():
    _, preference = ImpliedPreference(CHAIN).pairs(torch.tensor([10, 12, 16, 20]))
    near, middle, far = preference[:3].tolist()  # of the first with the others
    assert 0.5 > near > middle > far > 0


@pytest.mark.parametrize("index", [[99], [10], [99, 10]])
def test_nothing_to_compare(index):
    order, index = ImpliedPreference(CHAIN), torch.tensor(index)
    pairs, preference = order.pairs(index)
    assert pairs.shape == (0, 2)
    assert preference.shape == (0,)
    embeddings = torch.randn(2, len(index), 2, 8, requires_grad=True)
    value = ComparisonLoss(order, alpha=0.0)(embeddings, {"index": index})
    value.backward()
    assert value.item() == 0


def test_images_of_like_severity_are_drawn_together():
    order, index = ImpliedPreference(CHAIN), torch.tensor([10, 20, 99, 14])
    embeddings = torch.randn(2, 4, 2, 8)
    loss = ComparisonLoss(order, grade_weight=1.0)
    loss(embeddings, {"index": index})
    expected = rank_n_contrast_loss(embeddings[:, :, 1].flatten(0, 1), order.severity(index).repeat(2))
    assert loss.terms["grade"].item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(("pairs", "found"), [([], 0), ([PreferencePair(n, n + 1, 1.0) for n in range(5000)], 5001)])
def test_what_cannot_be_ordered(pairs, found):
    with pytest.raises(InputError, match=f"comparisons of {found} training images, where 2 to 5000 can be ordered"):
        ImpliedPreference(pairs)
