# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from monai_semise.apps.compare.seed_interval import seed_interval


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=10), st.sampled_from([0.8, 0.95]))
def test_is_scipys_interval(values, confidence):
    theirs = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    mine = seed_interval(values, confidence)
    assert mine.n_runs == len(values)
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert mine.low <= mine.mean <= mine.high


def test_few_and_undefined_values():
    assert seed_interval([0.5, float("nan")])[0] == 0.5
    assert math.isnan(seed_interval([0.5]).low)
    assert math.isnan(seed_interval([]).mean)
    assert seed_interval([0.1, float("nan"), 0.3]) == seed_interval([0.1, 0.3])
