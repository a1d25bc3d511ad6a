# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ContrastiveLoss
from pytorch_metric_learning.reducers import DoNothingReducer
from torch.nn import functional as F

from monai_semise.losses import MarginContrastiveLoss, batch_margin_contrastive_loss, margin_contrastive_loss
from tests.losses import reference
from tests.losses.reference import DTYPES, REDUCTIONS, assert_agree, grades, random, value_and_gradients

BALANCES = ("class", "none")


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "dimensions", "margin"), [(1, 2, 1.0), (5, 3, 0.5), (12, 8, 2.0)])
def test_explicit_pairs_equal_the_definition(n, dimensions, margin, dtype, reduction):
    pairs, similar = random(2, n, dimensions, seed=n, dtype=dtype), grades(n, seed=n, lowest=0, highest=1)
    loss = MarginContrastiveLoss(margin, reduction=reduction)
    assert_agree(
        lambda a, b: loss(a, similar, other=b),
        lambda a, b: reference.margin_contrastive(a, b, similar, margin, reduction),
        *pairs,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "highest", "margin", "seed"), [(2, 0, 1.0, 3), (7, 1, 1.0, 0), (11, 3, 0.7, 1)])
def test_all_pairs_of_a_batch_equal_the_definition(n, highest, margin, seed, dtype, balance, reduction):
    labels = grades(n, seed=seed, highest=highest)
    labels[:2] = 0
    assert_agree(
        lambda x: MarginContrastiveLoss(margin, balance, reduction)(x, labels),
        lambda x: reference.batch_margin_contrastive(x, labels, margin, balance, reduction),
        random(n, 4, seed=seed, dtype=dtype),
    )


@pytest.mark.parametrize("margin", [0.3, 1.0, 1.7])
def test_is_half_the_square_of_torchs_cosine_embedding_loss(margin):
    pairs, similar = random(2, 16, 4, dtype=torch.float32), grades(16, lowest=0, highest=1)
    assert_agree(
        lambda a, b: margin_contrastive_loss(a, b, similar, margin),
        lambda a, b: (
            0.5 * F.cosine_embedding_loss(a, b, 2 * similar - 1, margin=1 - margin, reduction="none") ** 2
        ).mean(),
        *pairs,
        tolerance=1e-5,
    )


@pytest.mark.parametrize("margin", [0.3, 1.0, 1.7])
def test_is_half_the_square_of_pytorch_metric_learnings_hinges(margin):
    labels = grades(12, lowest=0, highest=2)
    hinges = ContrastiveLoss(
        pos_margin=1, neg_margin=1 - margin, distance=CosineSimilarity(), reducer=DoNothingReducer()
    )

    def oracle(embeddings):
        parts = [hinges(embeddings, labels)[name]["losses"] for name in ("pos_loss", "neg_loss")]
        return 0.5 * (torch.cat(parts) ** 2).mean()

    embeddings = random(12, 4, dtype=torch.float32)
    assert_agree(lambda x: batch_margin_contrastive_loss(x, labels, margin, "none"), oracle, embeddings, tolerance=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_explicit_pairs_of_the_whole_batch_equal_the_all_pairs_form(reduction):
    labels = grades(8, lowest=0, highest=2)
    first, second = torch.triu_indices(8, 8, offset=1)
    assert_agree(
        lambda x: margin_contrastive_loss(x[first], x[second], labels[first] == labels[second], reduction=reduction),
        lambda x: batch_margin_contrastive_loss(x, labels, balance="none", reduction=reduction),
        random(8, 4),
    )


@pytest.mark.parametrize(
    ("cosine", "similar", "expected"), [(1, 1, 0), (0, 1, 0.5), (-1, 1, 2), (1, 0, 0.5), (0, 0, 0)]
)
def test_values_by_hand_at_margin_1(cosine, similar, expected):
    a = torch.tensor([[1.0, 0.0]])
    b = torch.tensor([[float(cosine), 1.0 - abs(cosine)]])
    assert margin_contrastive_loss(a, b, torch.tensor([similar])).item() == expected


def test_a_dissimilar_pair_beyond_the_margin_gets_no_gradient():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.2]])
    _, gradients = value_and_gradients(lambda *pair: margin_contrastive_loss(*pair, torch.tensor([0])), a, b)
    assert all((gradient == 0).all() for gradient in gradients)


def test_swapping_similar_and_dissimilar_turns_the_gradient_around():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    _, (together, _) = value_and_gradients(lambda *pair: margin_contrastive_loss(*pair, torch.tensor([1])), a, b)
    _, (apart, _) = value_and_gradients(lambda *pair: margin_contrastive_loss(*pair, torch.tensor([0])), a, b)
    assert together[0, 1] < 0 < apart[0, 1]


def test_class_balance_gives_each_kind_of_pair_the_chance_it_has_when_classes_are_drawn():
    embeddings, labels = random(9, 4), torch.tensor([0] * 7 + [1] * 2)
    terms = batch_margin_contrastive_loss(embeddings, labels, balance="none", reduction="none")
    first, second = labels[torch.triu_indices(9, 9, offset=1)]
    kinds = [terms[(first == a) & (second == b)].mean() for a, b in ((0, 0), (0, 1), (1, 1))]
    balanced = batch_margin_contrastive_loss(embeddings, labels, balance="class")
    torch.testing.assert_close(balanced, 0.25 * kinds[0] + 0.5 * kinds[1] + 0.25 * kinds[2], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("balance", BALANCES)
def test_images_without_a_label_change_nothing_and_get_no_gradient(balance):
    embeddings, labels = random(6, 4), torch.tensor([0, 1, 1, 0, 2, 1])
    unlabelled = torch.cat([random(3, 4, seed=1), embeddings])

    def loss(x, y):
        return batch_margin_contrastive_loss(x, y, balance=balance)

    value, (gradient,) = value_and_gradients(lambda x: loss(x, labels), embeddings)
    with_more, (more_gradient,) = value_and_gradients(
        lambda x: loss(x, torch.cat([torch.tensor([-1, -1, -1]), labels])), unlabelled
    )
    torch.testing.assert_close(with_more, value)
    torch.testing.assert_close(more_gradient[3:], gradient)
    assert (more_gradient[:3] == 0).all()


@pytest.mark.parametrize("labels", [[], [0], [-1, -1, -1], [-1, 2]])
@pytest.mark.parametrize("balance", BALANCES)
def test_a_batch_without_a_pair_costs_0_and_keeps_the_graph(labels, balance):
    embeddings = random(len(labels), 4).requires_grad_()
    value = batch_margin_contrastive_loss(embeddings, torch.tensor(labels, dtype=torch.long), balance=balance)
    value.backward()
    assert value.item() == 0
    assert (embeddings.grad == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    embeddings, labels = random(8, 16, dtype=dtype), grades(8, lowest=0)
    value, (gradient,) = value_and_gradients(lambda x: batch_margin_contrastive_loss(x, labels), embeddings)
    assert value.dtype == torch.float32
    expected = batch_margin_contrastive_loss(embeddings.double(), labels)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-5)
    assert gradient.isfinite().all()


def test_zero_vectors_give_finite_gradients():
    embeddings = random(4, 3)
    embeddings[1:3] = 0
    labels = torch.tensor([0, 0, 1, 1])
    value, (gradient,) = value_and_gradients(lambda x: batch_margin_contrastive_loss(x, labels), embeddings)
    assert value.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradients_are_those_of_finite_differences(reduction):
    a, b = random(2, 4, 3)
    similar, labels = torch.tensor([1, 0, 0, 1]), torch.tensor([0, 1, 1, -1])
    assert torch.autograd.gradcheck(
        lambda *pair: margin_contrastive_loss(*pair, similar, reduction=reduction),
        (a.requires_grad_(), b.requires_grad_()),
    )
    assert torch.autograd.gradcheck(lambda x: batch_margin_contrastive_loss(x, labels, reduction=reduction), a)


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"similar must have one value a pair, shape \(3,\), got \(3, 1\)"):
        margin_contrastive_loss(torch.ones(3, 2), torch.ones(3, 2), torch.ones(3, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 0.0}, r"margin is a cosine distance in \(0, 2\], got 0.0"),
        ({"margin": 2.5}, r"margin is a cosine distance in \(0, 2\], got 2.5"),
        ({"balance": "grade"}, "grade"),
        ({"reduction": "median"}, "median"),
    ],
)
def test_unusable_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        MarginContrastiveLoss(**options)


def test_an_unknown_balance_is_named_by_the_function_too():
    with pytest.raises(ValueError, match="grade"):
        batch_margin_contrastive_loss(torch.ones(2, 2), torch.tensor([0, 1]), balance="grade")
