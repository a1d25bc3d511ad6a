# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.losses import log_sum_exp, nt_xent_loss, supervised_contrastive_loss
from monai_semise.losses.log_sum_exp import log_sum_exp_of_others
from tests.losses.reference import DTYPES, LargestTensor, assert_agree, random, value_and_gradients

TILE = 4
TEMPERATURE = 0.7


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setitem(log_sum_exp._TILE, "cpu", TILE)


def of_others(rows):
    return log_sum_exp_of_others(rows, TEMPERATURE)


def row_by_row(rows):
    n = range(len(rows))
    return torch.stack([sum(torch.exp(rows[i] @ rows[k] / TEMPERATURE) for k in n if k != i).log() for i in n])


def two_views(rows):
    return nt_xent_loss(*rows.chunk(2), temperature=0.01)


def grouped(rows):
    return supervised_contrastive_loss(rows, torch.arange(len(rows)) % 3, temperature=0.01)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, TILE, TILE + 1, 3 * TILE - 1])
def test_equals_the_definition_in_one_tile_and_in_many(n, dtype):
    assert_agree(of_others, row_by_row, random(n, 3, seed=n, dtype=dtype))


@pytest.mark.parametrize("loss", [two_views, grouped])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_many_tiles_equal_one_in_every_precision_at_a_low_temperature(monkeypatch, dtype, loss):
    rows = random(18, 8, dtype=dtype)
    value, (gradient,) = value_and_gradients(loss, rows)
    monkeypatch.setitem(log_sum_exp._TILE, "cpu", len(rows))
    expected, (expected_gradient,) = value_and_gradients(loss, rows.double())
    assert value.dtype == torch.promote_types(dtype, torch.float32)
    assert gradient.dtype == dtype
    precise = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(value.double(), expected, rtol=precise, atol=precise)
    torch.testing.assert_close(gradient, expected_gradient.to(dtype), rtol=max(precise, 2e-3), atol=max(precise, 2e-3))


def test_a_row_without_others_is_minus_infinity_and_gets_no_gradient():
    value, (gradient,) = value_and_gradients(of_others, random(1, 3))
    assert value.tolist() == [-torch.inf]
    assert gradient.tolist() == [[0.0, 0.0, 0.0]]
    assert of_others(random(0, 3)).shape == (0,)


@pytest.mark.parametrize("n", [TILE - 1, TILE + 2])
def test_first_and_second_derivatives_are_those_of_finite_differences(n):
    rows = random(n, 2).requires_grad_()
    assert torch.autograd.gradcheck(of_others, rows)
    assert torch.autograd.gradgradcheck(of_others, rows)


def test_memory_is_linear_in_the_rows():
    n, dimensions = 16 * TILE, 2
    with LargestTensor() as record:
        value_and_gradients(of_others, random(n, dimensions))
    assert record.elements <= n * dimensions


def test_autocast_around_the_backward_pass_changes_nothing():
    rows = random(9, 8, dtype=torch.float32).requires_grad_()
    (plain,) = torch.autograd.grad(of_others(rows).sum(), rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (cast,) = torch.autograd.grad(of_others(rows).sum(), rows)
    assert torch.equal(plain, cast)


@pytest.mark.parametrize("n", [TILE, TILE + 2])
def test_compiled_whole_it_is_the_same(n):
    # not with inductor, which needs minutes and a C++ compiler
    compiled = torch.compile(two_views, backend="aot_eager", fullgraph=True)
    assert_agree(compiled, two_views, random(n, 3), tolerance=1e-12)
