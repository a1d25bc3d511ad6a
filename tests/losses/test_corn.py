# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.losses import OrdinalCornLoss, ordinal_corn_loss
from tests.losses import reference
from tests.losses.reference import DTYPES, assert_agree, random, value_and_gradients

GRADES = torch.tensor([0, 3, 1, -1, 2, 2, 0, -1, 3])
LOGITS = random(len(GRADES), 3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_equals_the_definition(reduction, dtype):
    assert_agree(
        lambda x: ordinal_corn_loss(x, GRADES, reduction),
        lambda x: reference.corn(x, GRADES, reduction),
        LOGITS.to(dtype),
    )


@pytest.mark.parametrize("n_grades", [2, 3, 7])
def test_equals_coral_pytorch(n_grades):
    oracle = pytest.importorskip("coral_pytorch.losses").corn_loss
    grades = torch.arange(40) % n_grades
    logits = random(40, n_grades - 1)
    assert_agree(OrdinalCornLossOf(grades), lambda x: oracle(x, grades, n_grades), logits)


class OrdinalCornLossOf:
    """The module, of given grades."""

    def __init__(self, grades):
        self.loss, self.grades = OrdinalCornLoss(int(grades.max()) + 1), grades

    def __call__(self, logits):
        return self.loss(logits, self.grades)


def test_gradients_are_those_of_finite_differences():
    assert torch.autograd.gradcheck(lambda x: ordinal_corn_loss(x, GRADES), LOGITS.clone().requires_grad_())


def test_a_threshold_learns_from_the_images_that_reach_it_alone():
    _, (gradient,) = value_and_gradients(lambda x: ordinal_corn_loss(x, GRADES), LOGITS)
    assert torch.equal(gradient != 0, GRADES[:, None] >= torch.arange(3))


def test_without_grades_it_is_0_and_keeps_the_graph():
    value, (gradient,) = value_and_gradients(lambda x: ordinal_corn_loss(x, torch.full((9,), -1)), LOGITS)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype):
    logits = (300 * LOGITS).to(dtype)
    value = ordinal_corn_loss(logits, GRADES)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, ordinal_corn_loss(logits.float(), GRADES))


def test_logits_of_another_number_of_grades_are_refused():
    with pytest.raises(ValueError, match=r"shape \(N, 4\) for 5 grades, got \(9, 3\)"):
        OrdinalCornLoss(5)(LOGITS, GRADES)


def test_a_scale_without_a_threshold_is_refused():
    with pytest.raises(ValueError, match="n_grades must be at least 2, got 1"):
        OrdinalCornLoss(1)


def test_an_unknown_reduction_is_named():
    with pytest.raises(ValueError, match="median"):
        OrdinalCornLoss(4, reduction="median")
