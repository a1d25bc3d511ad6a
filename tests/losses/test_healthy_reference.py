# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.losses import cosine_distance, healthy_reference
from tests.losses import reference
from tests.losses.reference import DTYPES, assert_agree, grades, random, value_and_gradients


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 4, 17])
def test_is_the_mean_projection_of_the_healthy_images(n, dtype):
    severity = grades(n, seed=n)
    severity[n // 2] = 0

    def oracle(projection):
        healthy = [row for row, grade in zip(projection, severity.tolist()) if grade == 0]
        return sum(healthy) / len(healthy)

    assert_agree(lambda projection: healthy_reference(projection, severity), oracle, random(n, 5, seed=n, dtype=dtype))


def test_only_healthy_images_get_a_gradient():
    severity = torch.tensor([0, 1, -1, 0])
    _, (gradient,) = value_and_gradients(lambda x: healthy_reference(x, severity), random(4, 3))
    assert gradient.tolist() == [[0.5] * 3, [0.0] * 3, [0.0] * 3, [0.5] * 3]


def test_gradients_are_those_of_finite_differences():
    projection = random(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: healthy_reference(x, torch.tensor([0, 2, 0, -1])), projection)


@pytest.mark.parametrize("severity", [[1, 2], [-1, -1]])
def test_a_batch_without_a_healthy_image_is_refused(severity):
    with pytest.raises(ValueError, match=r"no healthy image \(severity 0\)"):
        healthy_reference(torch.ones(2, 3), torch.tensor(severity))


@pytest.mark.parametrize("dtype", DTYPES)
def test_cosine_distance_equals_the_definition(dtype):
    assert_agree(
        cosine_distance,
        lambda x, healthy: torch.stack([1 - reference.cosine(row, healthy) for row in x]),
        random(6, 4, dtype=dtype),
        random(4, seed=1, dtype=dtype),
    )


def test_cosine_distance_gradients_are_those_of_finite_differences():
    assert torch.autograd.gradcheck(
        cosine_distance, (random(3, 4).requires_grad_(), random(4, seed=1).requires_grad_())
    )


@pytest.mark.parametrize(
    ("other", "distance"), [([3.0, 0.0], 0.0), ([0.0, 0.1], 1.0), ([-2.0, 0.0], 2.0), ([0.0, 0.0], 1.0)]
)
def test_cosine_distance_by_hand(other, distance):
    assert cosine_distance(torch.tensor([5.0, 0.0]), torch.tensor(other)).item() == distance


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_cosine_distance_of_half_precision_is_computed_in_float32(dtype):
    x, healthy = random(6, 64, dtype=dtype), random(64, seed=1, dtype=dtype)
    expected = cosine_distance(x.double(), healthy.double())
    torch.testing.assert_close(cosine_distance(x, healthy).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_zero_vector_is_at_distance_1_and_gets_no_gradient(dtype):
    x, healthy = random(3, 4, dtype=dtype), random(4, seed=1, dtype=dtype)
    x[1] = 0
    distance, (gradient, _) = value_and_gradients(cosine_distance, x, healthy)
    assert distance[1].item() == 1
    assert (gradient[1] == 0).all()
    assert (gradient[[0, 2]] != 0).all()
    _, gradients = value_and_gradients(cosine_distance, x, torch.zeros_like(healthy))
    assert all((gradient == 0).all() for gradient in gradients)


@pytest.mark.parametrize("length", [1e-6, 1e-3, 1e3, 1e6])
def test_cosine_distance_of_short_and_long_vectors(length):
    x, healthy = random(5, 4, dtype=torch.float32), random(4, seed=1, dtype=torch.float32)
    torch.testing.assert_close(cosine_distance(x * length, healthy / length), cosine_distance(x, healthy))
