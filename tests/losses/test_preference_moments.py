# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.losses import batch_preference_loss, preference
from monai_semise.losses.preference_moments import _angles, _moments, n_moments, preference_moments_loss
from tests.losses import reference
from tests.losses.reference import LargestTensor, assert_agree, grades, random, value_and_gradients


@pytest.fixture(autouse=True)
def moments_from_the_first_image_on(monkeypatch):
    monkeypatch.setattr(preference, "_FEWEST_FOR_MOMENTS", 1)


def distances(n, dtype=torch.float64):
    return 1 - torch.tanh(random(n, dtype=dtype))


def by_pairs(monkeypatch, *arguments):
    with monkeypatch.context() as patch:
        patch.setattr(preference, "_FEWEST_FOR_MOMENTS", 10**9)
        return value_and_gradients(lambda d: batch_preference_loss(d, *arguments[1:]), arguments[0])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("include_healthy", [False, True])
@pytest.mark.parametrize("balance", ["grade", "none"])
@pytest.mark.parametrize("ties", ["skip", "half", "zero"])
def test_equals_the_definition_pair_by_pair(ties, balance, include_healthy, reduction):
    severity = torch.cat([grades(44), torch.tensor([9])])  # the last grade has no tie
    options = (0.7, ties, balance, include_healthy, reduction)
    compared = severity >= (0 if include_healthy else 1)
    moments = preference_moments_loss(distances(45)[compared], severity[compared], 0.7, ties, balance, reduction)
    assert moments is not None
    assert_agree(
        lambda d: batch_preference_loss(d, severity, *options),
        lambda d: reference.batch_preference(d, severity, *options),
        distances(45),
        tolerance=1e-11,
    )


@pytest.mark.parametrize("scale", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_equals_the_pairs_in_every_precision(monkeypatch, dtype, scale):
    distance, severity = distances(500, dtype), grades(500)
    value, (gradient,) = value_and_gradients(lambda d: batch_preference_loss(d, severity, scale), distance)
    expected, (expected_gradient,) = by_pairs(monkeypatch, distance.double(), severity, scale)
    assert (value.dtype, gradient.dtype) == (torch.promote_types(dtype, torch.float32), dtype)
    rounding = torch.finfo(dtype).eps
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-6)  # weights of the pairs are float32
    torch.testing.assert_close(
        gradient.double(), expected_gradient, rtol=max(1e-6, rounding), atol=1e-8 + 1e-3 * rounding
    )


@pytest.mark.parametrize(("half_range", "scale"), [(1.0, 0.1), (1.0, 1.0), (0.3, 10.0), (1.0, 30.0)])
def test_the_number_of_moments_is_enough_and_a_quarter_is_not(half_range, scale):
    position = torch.linspace(-0.999, 0.999, 301, dtype=torch.float64)
    exact = torch.logaddexp(scale * half_range * (position - position[:, None]), torch.zeros(()).double())

    def error(n):
        each = _moments(position, torch.arange(301), 301, n)
        nodes = _angles(n, position).cos()
        kernel = torch.logaddexp(scale * half_range * (nodes - nodes[:, None]), torch.zeros(()).double())
        return (each @ kernel @ each.T - exact).abs().max()

    n = n_moments(half_range, scale)
    assert error(n) < 1e-12 * max(1, exact.max())
    assert error(n // 4) > 1e-9


def test_more_moments_than_images_or_distances_that_are_not_finite_leave_it_to_the_pairs(monkeypatch):
    distance, severity = distances(60), grades(60, lowest=1)
    arguments = (severity, 1000.0)
    assert preference_moments_loss(distance, *arguments, "skip", "grade", "mean") is None
    value, _ = value_and_gradients(lambda d: batch_preference_loss(d, *arguments), distance)
    assert value == by_pairs(monkeypatch, distance, *arguments)[0]
    distance[0] = torch.nan
    assert batch_preference_loss(distance, severity).isnan()


def test_equal_distances_cost_log_2_and_still_have_a_slope(monkeypatch):
    distance, severity = torch.full((40,), 0.4, dtype=torch.float64), grades(40)
    value, (gradient,) = value_and_gradients(lambda d: batch_preference_loss(d, severity), distance)
    expected, (expected_gradient,) = by_pairs(monkeypatch, distance, severity)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-9)
    assert gradient.any()


def test_memory_is_linear_in_the_images():
    n = 4096
    with LargestTensor() as record:
        value_and_gradients(lambda d: batch_preference_loss(d, grades(n)), distances(n))
    assert record.elements <= n * n_moments(1.0, 1.0)


def test_first_and_second_derivatives_are_those_of_finite_differences():
    distance, severity = distances(34).requires_grad_(), grades(34, lowest=1)

    def loss(d):
        return preference_moments_loss(d, severity, 0.5, "half", "grade", "mean")

    assert torch.autograd.gradcheck(loss, distance)
    assert torch.autograd.gradgradcheck(loss, distance)


def test_compiled_it_is_the_same():
    severity = grades(60)
    compiled = torch.compile(lambda d: batch_preference_loss(d, severity), backend="aot_eager")
    assert_agree(compiled, lambda d: batch_preference_loss(d, severity), distances(60), tolerance=1e-12)
