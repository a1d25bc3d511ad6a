# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import importlib

import pytest
import torch
from monai.losses import ContrastiveLoss
from pytorch_metric_learning import losses as metric_learning

from monai_semise.losses import NTXentLoss, nt_xent_loss
from tests.losses import reference
from tests.losses.reference import DTYPES, REDUCTIONS, LargestTensor, assert_agree, random, value_and_gradients


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "dimensions", "temperature"), [(1, 3, 0.5), (2, 1, 1.0), (3, 8, 0.1), (6, 5, 0.5)])
def test_equals_the_definition_pair_by_pair(n, dimensions, temperature, dtype, reduction):
    views = random(2, n, dimensions, seed=n, dtype=dtype)
    assert_agree(
        NTXentLoss(temperature, reduction), lambda a, b: reference.nt_xent(a, b, temperature, reduction), *views
    )


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("n", [2, 9, 32])
def test_equals_monai(n, temperature):
    views = random(2, n, 16, seed=n, dtype=torch.float32)
    assert_agree(NTXentLoss(temperature), ContrastiveLoss(temperature), *views, tolerance=1e-5)


@pytest.mark.parametrize("oracle", ["NTXentLoss", "SupConLoss"])
@pytest.mark.parametrize(("n", "temperature"), [(2, 0.5), (9, 0.1), (32, 0.5)])
def test_equals_pytorch_metric_learning(n, temperature, oracle):
    labels = torch.arange(n).repeat(2)
    loss = getattr(metric_learning, oracle)(temperature=temperature)
    views = random(2, n, 16, seed=n, dtype=torch.float32)
    assert_agree(NTXentLoss(temperature), lambda a, b: loss(torch.cat([a, b]), labels), *views, tolerance=1e-5)


def lightly_loss():
    """lightly needs torchvision, which raises more than ImportError when it was built for another torch."""
    try:
        return importlib.import_module("lightly.loss").NTXentLoss
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"lightly cannot be imported: {error}")


def test_equals_lightly():
    views = random(2, 8, 16, dtype=torch.float32)
    assert_agree(NTXentLoss(0.5), lightly_loss()(temperature=0.5), *views, tolerance=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_finite_and_exact_at_a_low_temperature(dtype):
    views = random(2, 16, 32, dtype=dtype)
    value, gradients = value_and_gradients(NTXentLoss(0.01), *views)
    expected, _ = value_and_gradients(NTXentLoss(0.01), *views.double())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-5)
    assert all(gradient.dtype == dtype and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().max() > 0 for gradient in gradients)


def test_autocast_does_not_change_the_loss_at_a_low_temperature():
    loss = NTXentLoss(0.01)

    def under_autocast(*views):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return loss(*views)

    views = random(2, 16, 32, dtype=torch.float32)
    plain, plain_gradients = value_and_gradients(loss, *views)
    cast, cast_gradients = value_and_gradients(under_autocast, *views)
    assert torch.equal(plain, cast)
    assert all(torch.equal(one, other) for one, other in zip(plain_gradients, cast_gradients))


def test_a_network_under_autocast_gets_finite_gradients_at_a_low_temperature():
    layer = torch.nn.Linear(8, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embeddings = layer(random(2, 16, 8, dtype=torch.float32))
        assert embeddings.dtype == torch.bfloat16
        value = nt_xent_loss(*embeddings, temperature=0.01)
    value.backward()
    assert value.isfinite()
    assert layer.weight.grad.isfinite().all()
    assert layer.weight.grad.abs().max() > 0


def largest_tensor(loss, n, dimensions):
    with LargestTensor() as record:
        value_and_gradients(loss, *random(2, n, dimensions, dtype=torch.float32))
    return record.elements


@pytest.mark.parametrize(("n", "dimensions"), [(64, 512), (64, 8)])
def test_no_tensor_is_of_order_batch_squared_times_dimensions(n, dimensions):
    assert largest_tensor(NTXentLoss(), n, dimensions) <= max((2 * n) ** 2, 2 * n * dimensions)


def test_the_record_of_the_largest_tensor_sees_one_of_that_order():
    # MONAI's loss broadcasts to (2N, 2N, D)
    assert largest_tensor(ContrastiveLoss(), 8, 16) >= 16 * 16 * 16


def test_the_length_of_an_embedding_does_not_count():
    first, second = random(2, 6, 5)
    length = torch.linspace(0.01, 100, 6, dtype=torch.float64)[:, None]
    torch.testing.assert_close(nt_xent_loss(first * length, second / length), nt_xent_loss(first, second))


def test_equal_views_at_a_low_temperature_cost_nothing_and_swapped_ones_much():
    views = torch.eye(4, dtype=torch.float64)
    assert nt_xent_loss(views, views, temperature=0.01) < 1e-12
    assert nt_xent_loss(views, views.roll(1, 0), temperature=0.01) > 90


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_zero_vectors_give_finite_gradients(dtype):
    first, second = random(2, 4, 3, dtype=dtype)
    first[1] = 0
    second[1:3] = 0
    value, gradients = value_and_gradients(NTXentLoss(), first, second)
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradients_are_those_of_finite_differences(reduction):
    views = random(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: nt_xent_loss(*v, temperature=0.3, reduction=reduction), views)


@pytest.mark.parametrize(
    ("first", "second"), [((3, 4), (2, 4)), ((3, 4), (3, 5)), ((4,), (4,)), ((2, 3, 4), (2, 3, 4))]
)
def test_wrong_shapes_are_named(first, second):
    with pytest.raises(ValueError, match=r"must have one shape \(N, D\), got \(.*\) and \(.*\)"):
        nt_xent_loss(torch.ones(first), torch.ones(second))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        ({"temperature": -1.0}, "temperature must be above 0, got -1.0"),
        ({"temperature": float("nan")}, "temperature must be above 0, got nan"),
        ({"reduction": "median"}, "median"),
    ],
)
def test_unusable_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        NTXentLoss(**options)
