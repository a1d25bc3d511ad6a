# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.losses import RankNContrastLoss, rank_n_contrast, rank_n_contrast_loss
from tests.losses import reference
from tests.losses.reference import DTYPES, LargestTensor, assert_agree, grades, random, value_and_gradients


def slow(labels, temperature):
    def mean(vectors):
        terms = list(reference.rank_n_contrast(vectors, labels, temperature).values())
        return sum(terms) / len(terms)

    return mean


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "dimensions", "temperature"), [(2, 3, 2.0), (5, 1, 2.0), (9, 8, 0.1), (12, 5, 0.5)])
def test_equals_the_definition_pair_by_pair(n, dimensions, temperature, dtype):
    labels = torch.cat([torch.tensor([3, 0]), grades(n - 2, seed=n)])
    assert_agree(
        lambda v: RankNContrastLoss(temperature)(v, labels),
        slow(labels, temperature),
        random(n, dimensions, seed=n, dtype=dtype),
        tolerance=1e-4 if dtype == torch.float32 else 1e-6,
    )


@pytest.mark.parametrize("labels", [[1, 1, 1, 1, 1], [0.5, 2.25, 0.75, 1.0, 3.5], [1, 2, 3, 2, 1]])
def test_ties_and_labels_between_grades(labels):
    labels = torch.tensor(labels)
    assert_agree(lambda v: rank_n_contrast_loss(v, labels, 0.7), slow(labels, 0.7), random(5, 4), tolerance=1e-6)


def test_single_terms_are_those_of_the_definition_in_the_order_told():
    labels, vectors = torch.tensor([0, 3, -1, 1]), random(4, 5)
    terms = reference.rank_n_contrast(vectors, labels, 2.0)
    told = [(0, 1), (0, 3), (1, 0), (1, 3), (3, 1), (3, 0)]
    expected = torch.stack([terms[pair] for pair in told])
    torch.testing.assert_close(rank_n_contrast_loss(vectors, labels, reduction="none"), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        rank_n_contrast_loss(vectors, labels, reduction="sum"), expected.sum(), rtol=1e-6, atol=1e-6
    )


def test_rows_without_a_label_do_not_count():
    vectors, labels = random(7, 5), torch.tensor([0, -1, 1, 0, -1, 3, 2])
    kept = labels >= 0
    value, gradients = value_and_gradients(lambda v: rank_n_contrast_loss(v, labels), vectors)
    torch.testing.assert_close(value, rank_n_contrast_loss(vectors[kept], labels[kept]))
    assert torch.equal(gradients[0].abs().sum(dim=1) > 0, kept)


@pytest.mark.parametrize("labels", [[], [-1, -1], [2], [-1, 3, -1]])
def test_without_a_pair_the_loss_is_zero_and_its_gradient_too(labels):
    value, gradients = value_and_gradients(
        lambda v: rank_n_contrast_loss(v, torch.tensor(labels, dtype=torch.long)), random(len(labels), 4)
    )
    assert value == 0
    assert not gradients[0].any()


def test_equal_embeddings_have_finite_gradients():
    vectors = torch.ones(6, 3)
    vectors[3:] = 2
    value, gradients = value_and_gradients(lambda v: rank_n_contrast_loss(v, torch.tensor([0, 1, 2, 0, 1, 2])), vectors)
    assert value.isfinite()
    assert gradients[0].isfinite().all()


def test_embeddings_far_from_the_origin_keep_their_distances():
    labels, vectors = torch.arange(8) % 4, random(8, 16)
    here = rank_n_contrast_loss(vectors, labels)
    far = rank_n_contrast_loss((vectors + 1000).float(), labels)
    torch.testing.assert_close(far.double(), here, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_finite_and_exact(dtype):
    labels, vectors = torch.arange(16) % 5, random(16, 32, dtype=dtype)
    value, gradients = value_and_gradients(lambda v: rank_n_contrast_loss(v, labels, 0.1), vectors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast, _ = value_and_gradients(lambda v: rank_n_contrast_loss(v, labels, 0.1), vectors)
    assert value.dtype == torch.float32
    assert torch.equal(value, cast)
    torch.testing.assert_close(
        value.double(), rank_n_contrast_loss(vectors.double(), labels, 0.1), rtol=1e-4, atol=1e-4
    )
    assert gradients[0].isfinite().all()
    assert gradients[0].any()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_anchors_in_parts_equal_all_at_once(monkeypatch, dtype, reduction):
    labels, vectors = grades(23), random(23, 6, dtype=dtype)
    expected, (expected_gradient,) = value_and_gradients(
        lambda v: rank_n_contrast_loss(v, labels, 0.5, reduction), vectors.double()
    )
    monkeypatch.setattr(rank_n_contrast, "_MOST_PAIRS", 100)
    value, (gradient,) = value_and_gradients(lambda v: rank_n_contrast_loss(v, labels, 0.5, reduction), vectors)
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient, expected_gradient.to(dtype), rtol=2e-2, atol=1e-4)


def test_anchors_in_parts_have_no_tensor_of_order_batch_squared(monkeypatch):
    monkeypatch.setattr(rank_n_contrast, "_MOST_PAIRS", 256)
    with LargestTensor() as record:
        value_and_gradients(lambda v: rank_n_contrast_loss(v, torch.arange(64) % 4), random(64, 4))
    assert record.elements <= 64 * (4 + 2)


def test_compiled_it_is_the_same(monkeypatch):
    monkeypatch.setattr(rank_n_contrast, "_MOST_PAIRS", 100)
    labels = grades(17)
    compiled = torch.compile(lambda v: rank_n_contrast_loss(v, labels), backend="aot_eager")
    assert_agree(compiled, lambda v: rank_n_contrast_loss(v, labels), random(17, 3), tolerance=1e-12)


def test_no_tensor_is_of_order_batch_squared_times_dimensions():
    labels = torch.arange(64) % 4
    with LargestTensor() as record:
        value_and_gradients(lambda v: rank_n_contrast_loss(v, labels), random(64, 128, dtype=torch.float32))
    assert record.elements <= 64 * (128 + 2)  # a product adds two columns for the squares


def test_gradients_are_those_of_finite_differences():
    labels = torch.tensor([0, 1, 1, 3, -1])
    assert torch.autograd.gradcheck(lambda v: rank_n_contrast_loss(v, labels), random(5, 3).requires_grad_())


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_unusable_temperatures_are_named(temperature):
    with pytest.raises(ValueError, match=f"temperature must be above 0, got {temperature}"):
        RankNContrastLoss(temperature)
