# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from monai_semise.losses import balanced_grade_weights
from monai_semise.utils import InputError


def test_weights_are_scikit_learns():
    severity = [0] * 7 + [1] * 2 + [2] * 5
    expected = compute_class_weight("balanced", classes=np.arange(3), y=np.array(severity))
    assert balanced_grade_weights([-1, *severity], 3).tolist() == pytest.approx(expected.tolist())


def test_an_empty_grade_is_named():
    with pytest.raises(InputError, match=r"no image of severity 1 \(mild\), but the scale has 3 grades"):
        balanced_grade_weights([0, 2], 3, ["none", "mild", "severe"])


def test_a_grade_above_the_scale_is_named():
    with pytest.raises(InputError, match="severity 5 is outside the scale of 3 grades"):
        balanced_grade_weights([0, 5], 3)
