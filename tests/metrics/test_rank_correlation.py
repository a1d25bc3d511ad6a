# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from scipy.stats import kendalltau
from torchmetrics import KendallRankCorrCoef

from monai_semise.metrics import KendallTau, kendall_tau, rank_correlation
from tests.losses.reference import LargestTensor
from tests.metrics.data import collected, integers, scores

# how many distinct values each side has: many, few and two
LEVELS = [(1000, 1000), (1000, 3), (4, 3), (1, 1)]


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("n", [2, 5, 40, 300])
def test_equals_scipy(n, levels):
    x, y = (integers(n, highest, seed=n + side) for side, highest in enumerate(levels))
    expected = kendalltau(x, y, variant="b").statistic
    assert kendall_tau(x, y).item() == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("n", [10, 120])
def test_equals_torchmetrics(n, levels):
    x, y = (integers(n, highest, seed=n + side).float() for side, highest in enumerate(levels))
    assert kendall_tau(x, y).item() == pytest.approx(KendallRankCorrCoef(variant="b")(x, y).item(), abs=1e-6)


@pytest.mark.parametrize("elements", [1, 7, 50, 1000, 10**6])
def test_chunks_do_not_change_the_value(monkeypatch, elements):
    x, y = scores(33), integers(33, 3)
    at_once = kendall_tau(x, y)
    monkeypatch.setattr(rank_correlation, "_CHUNK_ELEMENTS", elements)
    assert torch.equal(kendall_tau(x, y), at_once)


def test_no_tensor_is_larger_than_a_chunk(monkeypatch):
    monkeypatch.setattr(rank_correlation, "_CHUNK_ELEMENTS", 5000)
    x, y = scores(1000), integers(1000, 3)
    with LargestTensor() as record:
        kendall_tau(x, y)
    assert record.elements == 5000


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_constant_side_has_no_correlation(n):
    assert kendall_tau(scores(n), torch.zeros(n)).isnan()
    assert kendall_tau(torch.zeros(n), scores(n)).isnan()


def test_a_full_order_scores_1_and_its_reverse_minus_1():
    order = torch.arange(20)
    assert kendall_tau(order, order**3).item() == 1
    assert kendall_tau(order, -order).item() == -1


@pytest.mark.parametrize("columns", [1, 2])
def test_the_metric_leaves_ungraded_images_out(columns):
    score, severity = scores(60), integers(60, 4, seed=1, lowest=-1)
    y = severity if columns == 1 else torch.stack([severity, torch.arange(60)], dim=1)
    graded = severity >= 0
    assert 0 < graded.sum() < 60
    expected = kendalltau(score[graded], severity[graded]).statistic
    assert collected(KendallTau(), score[:, None], y).item() == pytest.approx(expected, abs=1e-12)


def test_nan_does_not_pass_for_a_tie():
    assert kendall_tau(torch.tensor([0.1, torch.nan, 0.3]), torch.tensor([0, 1, 2])).isnan()
