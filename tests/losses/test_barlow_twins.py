# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.losses import BarlowTwinsLoss

from monai_semise.losses import CrossCorrelationLoss, barlow_twins_terms
from tests.losses import reference
from tests.losses.reference import DTYPES, assert_agree, random, value_and_gradients


@pytest.mark.parametrize("term", [0, 1], ids=["invariance", "redundancy"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "dimensions"), [(2, 3), (5, 2), (9, 4)])
def test_equals_the_definition_correlation_by_correlation(n, dimensions, dtype, term):
    assert_agree(
        lambda *views: barlow_twins_terms(*views)[term],
        lambda *views: reference.barlow_twins(*views, epsilon=1e-5)[term],
        *random(2, n, dimensions, seed=n, dtype=dtype),
        tolerance=1e-4 if dtype == torch.float32 else None,
    )


def test_equals_monai_but_for_its_unbiased_deviation():
    """Its correlations are (N - 1) / N of ours: nothing is left of that in a large batch."""
    views = random(2, 100_000, 6)
    views[1] += 0.5 * views[0]
    torch.testing.assert_close(
        CrossCorrelationLoss(0.1)(*views), BarlowTwinsLoss(lambd=0.1)(*views).double(), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(("scale", "weight"), [(1.0, 0.005), (0.25, 0.3)])
def test_terms_make_the_loss(scale, weight):
    views = random(2, 8, 5)
    loss = CrossCorrelationLoss(weight, scale)
    value = loss(*views)
    invariance, redundancy = barlow_twins_terms(*views)
    torch.testing.assert_close(value, scale * (invariance + weight * redundancy))
    torch.testing.assert_close(loss.terms, {"invariance": scale * invariance, "redundancy": scale * redundancy})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_finite_and_exact(dtype):
    views = 100 * random(2, 16, 8, dtype=dtype)
    value, gradients = value_and_gradients(CrossCorrelationLoss(), *views)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast, _ = value_and_gradients(CrossCorrelationLoss(), *views)
    assert value.dtype == torch.float32
    assert torch.equal(value, cast)
    torch.testing.assert_close(value.double(), CrossCorrelationLoss()(*views.double()), rtol=1e-5, atol=1e-5)
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)


def test_a_dimension_that_tells_nothing_has_finite_gradients():
    views = random(2, 8, 5)
    views[:, :, 2] = 1
    value, gradients = value_and_gradients(CrossCorrelationLoss(), *views)
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_gradients_are_those_of_finite_differences():
    assert torch.autograd.gradcheck(lambda v: barlow_twins_terms(*v), random(2, 4, 3).requires_grad_())


@pytest.mark.parametrize(("first", "second"), [((3, 4), (2, 4)), ((4,), (4,)), ((1, 4), (1, 4))])
def test_wrong_shapes_are_named(first, second):
    with pytest.raises(ValueError, match=r"one shape \(N, D\), N at least 2, got \(.*\) and \(.*\)"):
        CrossCorrelationLoss()(torch.ones(first), torch.ones(second))
