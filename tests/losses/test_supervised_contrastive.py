# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning import losses as metric_learning

from monai_semise.losses import SupervisedContrastiveLoss, nt_xent_loss, supervised_contrastive_loss
from tests.losses import reference
from tests.losses.reference import (
    DTYPES,
    REDUCTIONS,
    LargestTensor,
    assert_agree,
    grades,
    random,
    value_and_gradients,
)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "dimensions", "temperature"), [(3, 1, 1.0), (7, 8, 0.1), (12, 5, 0.5)])
def test_equals_the_definition_pair_by_pair(n, dimensions, temperature, dtype, reduction):
    labels = torch.cat([torch.tensor([1, 1, -1]), grades(n - 3, seed=n)])
    assert_agree(
        lambda z: SupervisedContrastiveLoss(temperature, reduction)(z, labels),
        lambda z: reference.supervised_contrastive(z, labels, temperature, reduction),
        random(n, dimensions, seed=n, dtype=dtype),
        tolerance=1e-4 if dtype == torch.float32 else None,
    )


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("n", [8, 32])
def test_equals_pytorch_metric_learning(n, temperature):
    labels = torch.arange(n) % 4
    oracle = metric_learning.SupConLoss(temperature=temperature)
    loss = SupervisedContrastiveLoss(temperature)
    vectors = random(n, 16, seed=n, dtype=torch.float32)
    assert_agree(lambda z: loss(z, labels), lambda z: oracle(z, labels), vectors, tolerance=1e-5)


def test_every_image_a_class_of_its_own_is_nt_xent():
    views = random(2, 6, 5)
    labels = torch.arange(6).repeat(2)
    torch.testing.assert_close(supervised_contrastive_loss(views.flatten(0, 1), labels, 0.3), nt_xent_loss(*views, 0.3))


def test_rows_without_a_label_do_not_count():
    vectors, labels = random(9, 5), torch.tensor([0, -1, 1, 0, -1, 1, 2, -3, 2])
    kept = labels >= 0
    expected, gradients = value_and_gradients(lambda z: supervised_contrastive_loss(z, labels), vectors)
    torch.testing.assert_close(expected, supervised_contrastive_loss(vectors[kept], labels[kept]))
    assert torch.equal(gradients[0].abs().sum(dim=1) > 0, kept)


@pytest.mark.parametrize("labels", [[], [-1, -1, -1], [2], [-1, 3, -1], [0, 1, 2]])
def test_without_an_anchor_the_loss_is_zero_and_its_gradient_too(labels):
    value, gradients = value_and_gradients(
        lambda z: supervised_contrastive_loss(z, torch.tensor(labels, dtype=torch.long)), random(len(labels), 4)
    )
    assert value == 0
    assert not gradients[0].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_finite_and_exact_at_a_low_temperature(dtype):
    labels, vectors = torch.arange(16) % 3, random(16, 32, dtype=dtype)
    value, gradients = value_and_gradients(lambda z: supervised_contrastive_loss(z, labels, 0.01), vectors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast, _ = value_and_gradients(lambda z: supervised_contrastive_loss(z, labels, 0.01), vectors)
    expected = supervised_contrastive_loss(vectors.double(), labels, 0.01)
    assert value.dtype == torch.float32
    assert torch.equal(value, cast)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-5)
    assert gradients[0].isfinite().all()
    assert gradients[0].any()


def test_no_tensor_is_of_order_batch_squared_times_dimensions():
    labels = torch.arange(64) % 4
    with LargestTensor() as record:
        value_and_gradients(lambda z: supervised_contrastive_loss(z, labels), random(64, 128, dtype=torch.float32))
    assert record.elements <= 64 * 128


def test_gradients_are_those_of_finite_differences():
    labels = torch.tensor([0, 1, 1, 0, 2, -1])
    assert torch.autograd.gradcheck(
        lambda z: supervised_contrastive_loss(z, labels, 0.3, "none"), random(6, 4).requires_grad_()
    )


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_unusable_temperatures_are_named(temperature):
    with pytest.raises(ValueError, match=f"temperature must be above 0, got {temperature}"):
        SupervisedContrastiveLoss(temperature)
