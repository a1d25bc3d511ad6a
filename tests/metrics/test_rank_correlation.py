# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from scipy.stats import kendalltau, spearmanr
from torchmetrics.functional import kendall_rank_corrcoef, spearman_corrcoef

from monai_semise.metrics import KendallTau, kendall_tau, spearman_correlation
from tests.losses.reference import LargestTensor
from tests.metrics.data import collected, integers, scores

# how many distinct values each side has: many, few and two
LEVELS = [(1000, 1000), (1000, 3), (4, 3), (1, 1)]


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("n", [2, 5, 40, 300])
@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_equal_scipy(n, levels):
    x, y = (integers(n, highest, seed=n + side) for side, highest in enumerate(levels))
    expected = kendalltau(x, y, variant="b").statistic
    assert kendall_tau(x, y).item() == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert kendall_tau(y, x).item() == pytest.approx(expected, abs=1e-12, nan_ok=True)
    expected = spearmanr(x, y).statistic
    assert spearman_correlation(x, y).item() == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("n", [10, 120])
def test_equal_torchmetrics(n, levels):
    x, y = (integers(n, highest, seed=n + side).float() for side, highest in enumerate(levels))
    assert kendall_tau(x, y).item() == pytest.approx(kendall_rank_corrcoef(x, y, variant="b").item(), abs=1e-6)
    assert spearman_correlation(x, y).item() == pytest.approx(spearman_corrcoef(x, y).item(), abs=1e-5)


@pytest.mark.parametrize("rank_correlation", [kendall_tau, spearman_correlation])
@pytest.mark.parametrize("highest", [3, 2000])
def test_memory_is_linear(rank_correlation, highest):
    with LargestTensor() as record:
        rank_correlation(scores(1000), integers(1000, highest))
    assert record.elements <= 1000


@pytest.mark.parametrize("rank_correlation", [kendall_tau, spearman_correlation])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_constant_side_has_no_correlation(n, rank_correlation):
    assert rank_correlation(scores(n), torch.zeros(n)).isnan()
    assert rank_correlation(torch.zeros(n), scores(n)).isnan()


@pytest.mark.parametrize("rank_correlation", [kendall_tau, spearman_correlation])
def test_a_full_order_scores_1_and_its_reverse_minus_1(rank_correlation):
    order = torch.arange(20)
    assert rank_correlation(order, order**3).item() == 1
    assert rank_correlation(order, -order).item() == -1


@pytest.mark.parametrize("columns", [1, 2])
def test_the_metric_leaves_ungraded_images_out(columns):
    score, severity = scores(60), integers(60, 4, seed=1, lowest=-1)
    y = severity if columns == 1 else torch.stack([severity, torch.arange(60)], dim=1)
    graded = severity >= 0
    assert 0 < graded.sum() < 60
    expected = kendalltau(score[graded], severity[graded]).statistic
    assert collected(KendallTau(), score[:, None], y).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rank_correlation", [kendall_tau, spearman_correlation])
def test_nan_does_not_pass_for_a_tie(rank_correlation):
    with_nan, order = torch.tensor([0.1, torch.nan, 0.3]), torch.tensor([0, 1, 2])
    assert rank_correlation(with_nan, order).isnan()
    assert rank_correlation(order, with_nan).isnan()
    assert rank_correlation(with_nan, torch.tensor([0, 0, 1])).isnan()
