# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools

import pytest
import torch

from monai_semise.losses import RankNContrastLoss, rank_n_contrast, rank_n_contrast_loss
from tests.losses import reference
from tests.losses.reference import DTYPES, LargestTensor, assert_agree, grades, random, value_and_gradients


def most_pairs_at_once(monkeypatch, pairs):
    monkeypatch.setattr(rank_n_contrast, "_MOST_PAIRS", pairs)
    monkeypatch.setattr(rank_n_contrast, "_FEWEST_ANCHORS", 1)


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


@pytest.mark.parametrize("most_levels_summed", [1, 64])
@pytest.mark.parametrize("most_pairs", [40, 2**19])
def test_few_and_many_levels_at_once_and_in_parts(monkeypatch, most_pairs, most_levels_summed):
    labels = torch.tensor([0.5, 2.25, 0.75, 1.0, 3.5, 1.0, 0.5, 2.25, 9.0])
    most_pairs_at_once(monkeypatch, most_pairs)
    monkeypatch.setattr(rank_n_contrast, "_MOST_LEVELS_SUMMED", most_levels_summed)
    assert_agree(lambda v: rank_n_contrast_loss(v, labels, 0.7), slow(labels, 0.7), random(9, 4), tolerance=1e-6)


@pytest.mark.parametrize("most_levels_summed", [1, 64])
def test_a_sum_of_far_rows_is_not_lost_beside_a_near_one(monkeypatch, most_levels_summed):
    monkeypatch.setattr(rank_n_contrast, "_MOST_LEVELS_SUMMED", most_levels_summed)
    labels, places = torch.arange(5), [0, 1, 1000, 1100, 1101]
    value, gradients = value_and_gradients(
        lambda v: rank_n_contrast_loss(v, labels, 0.1), torch.tensor(places).float()[:, None]
    )
    # Distances differ so much that the nearest row is the whole sum
    terms = [
        abs(places[i] - places[j])
        - min(abs(places[i] - places[k]) for k in range(5) if k != i and abs(i - k) >= abs(i - j))
        for i, j in itertools.permutations(range(5), 2)
    ]
    assert value.item() == pytest.approx(10 * sum(terms) / len(terms), rel=1e-5)
    assert gradients[0].isfinite().all()


def test_a_second_derivative_of_parts_is_refused_not_wrong(monkeypatch):
    most_pairs_at_once(monkeypatch, 20)
    vectors = random(6, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(rank_n_contrast_loss(vectors, grades(6)), vectors, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient.sum().backward()


def test_single_terms_are_those_of_the_definition_in_the_order_of_the_input():
    labels, vectors = torch.tensor([0, 3, -1, 1]), random(4, 5)
    terms = reference.rank_n_contrast(vectors, labels, 2.0)
    told = [(0, 1), (0, 3), (1, 0), (1, 3), (3, 0), (3, 1)]
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
    most_pairs_at_once(monkeypatch, 100)
    value, (gradient,) = value_and_gradients(lambda v: rank_n_contrast_loss(v, labels, 0.5, reduction), vectors)
    torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradient, expected_gradient.to(dtype), rtol=2e-2, atol=1e-4)


def test_anchors_in_parts_have_no_tensor_of_order_batch_squared(monkeypatch):
    most_pairs_at_once(monkeypatch, 256)
    with LargestTensor() as record:
        value_and_gradients(lambda v: rank_n_contrast_loss(v, torch.arange(64) % 4), random(64, 4))
    assert record.elements <= 64 * (4 + 2)


def test_compiled_it_is_the_same(monkeypatch):
    most_pairs_at_once(monkeypatch, 100)
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
