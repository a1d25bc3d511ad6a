# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from monai_semise.losses import (
    PreferenceLoss,
    batch_preference_loss,
    comparable_pairs,
    cosine_distance,
    preference_loss,
)
from tests.losses import reference
from tests.losses.reference import DTYPES, REDUCTIONS, assert_agree, grades, random, value_and_gradients

TIES = ("skip", "half", "zero")
BALANCES = ("grade", "none")
FLOOR = math.log(1 + math.exp(-2))


def distances(*shape, seed=0, dtype=torch.float64):
    """Cosine distances, in [0, 2]."""
    return 1 - torch.tanh(random(*shape, seed=seed, dtype=dtype))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "scale"), [(1, 1.0), (9, 5.0)])
def test_explicit_pairs_equal_the_definition(n, scale, dtype, soft, weighted, reduction):
    preference = random(n, seed=1).sigmoid() if soft else grades(n, lowest=0, highest=1)
    weight = random(n, seed=2).abs() if weighted else None
    assert_agree(
        lambda a, b: preference_loss(a, b, preference, weight, scale, reduction),
        lambda a, b: reference.preference(a, b, preference, weight, scale, reduction),
        *distances(2, n, seed=n, dtype=dtype),
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("include_healthy", [False, True])
@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "highest", "scale"), [(5, 2, 1.0), (13, 4, 3.0)])
def test_all_pairs_of_a_batch_equal_the_definition(n, highest, scale, dtype, ties, balance, include_healthy, reduction):
    severity = grades(n, seed=n, highest=highest)
    severity[:2] = torch.tensor([1, 2])
    options = (scale, ties, balance, include_healthy, reduction)
    assert_agree(
        lambda d: batch_preference_loss(d, severity, *options),
        lambda d: reference.batch_preference(d, severity, *options),
        distances(n, seed=n, dtype=dtype),
    )


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("include_healthy", [False, True])
def test_the_module_is_the_function_of_the_distances_to_the_reference(ties, balance, include_healthy):
    severity = grades(9)
    loss = PreferenceLoss(2.0, ties, balance, include_healthy)
    assert_agree(
        lambda x, healthy: loss(x, severity, healthy),
        lambda x, healthy: batch_preference_loss(
            cosine_distance(x, healthy), severity, 2.0, ties, balance, include_healthy
        ),
        random(9, 4),
        random(4, seed=1),
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_module_takes_explicit_pairs_in_any_order(weighted, reduction):
    pairs, preference = torch.tensor([[0, 3], [3, 0], [2, 1], [4, 4]]), torch.tensor([1.0, 0.25, 0.0, 0.5])
    weight = torch.tensor([1.0, 0.5, 2.0, 0.0]) if weighted else None
    loss = PreferenceLoss(reduction=reduction)

    def oracle(x, healthy):
        distance = torch.stack([1 - reference.cosine(row, healthy) for row in x])
        return reference.preference(distance[pairs[:, 0]], distance[pairs[:, 1]], preference, weight, 1.0, reduction)

    assert_agree(
        lambda x, healthy: loss(x, preference, healthy, pairs, weight), oracle, random(5, 3), random(3, seed=1)
    )


def test_is_the_bradley_terry_likelihood():
    a, b = distances(2, 8)
    torch.testing.assert_close(preference_loss(a, b, torch.ones(8)), -F.logsigmoid(a - b).mean())
    torch.testing.assert_close(preference_loss(a, b, torch.zeros(8)), -F.logsigmoid(b - a).mean())


def test_the_floor_at_scale_1_is_0_1269():
    furthest, nearest = torch.tensor([2.0]), torch.tensor([0.0])
    floor = preference_loss(furthest, nearest, torch.tensor([1.0])).item()
    assert f"{floor:.4f}" == "0.1269"
    assert floor == pytest.approx(FLOOR, rel=1e-6)
    a, b = distances(2, 1000)
    assert (preference_loss(a, b, (a > b).double(), reduction="none") >= FLOOR).all()
    assert preference_loss(furthest, nearest, torch.tensor([1.0]), scale=10.0).item() < 1e-8


def test_equal_distances_cost_log_2_and_the_right_order_less():
    near, far, worse = torch.tensor([0.2]), torch.tensor([0.9]), torch.tensor([1.0])
    assert preference_loss(near, near, worse).item() == pytest.approx(math.log(2))
    assert preference_loss(far, near, worse) < math.log(2) < preference_loss(near, far, worse)


def test_swapping_which_image_is_worse_turns_the_gradient_around():
    at = torch.tensor([0.7])
    _, (a_worse_a, a_worse_b) = value_and_gradients(lambda a, b: preference_loss(a, b, torch.ones(1)), at, at)
    _, (b_worse_a, b_worse_b) = value_and_gradients(lambda a, b: preference_loss(a, b, torch.zeros(1)), at, at)
    assert (a_worse_a.item(), a_worse_b.item()) == (-0.5, 0.5)
    assert (b_worse_a.item(), b_worse_b.item()) == (0.5, -0.5)


def test_the_order_of_a_pair_does_not_matter():
    a, b = distances(2, 8)
    preference = random(8, seed=3).sigmoid()
    torch.testing.assert_close(preference_loss(a, b, preference), preference_loss(b, a, 1 - preference))


@pytest.mark.parametrize("copies", [2, 5])
@pytest.mark.parametrize("grade", [1, 2, 3])
@pytest.mark.parametrize("include_healthy", [False, True])
def test_more_copies_of_the_images_of_one_grade_do_not_change_the_balanced_loss(grade, copies, include_healthy):
    distance, severity = distances(8), torch.tensor([0, 1, 1, 2, 2, 3, 3, 0])
    chosen = severity == grade
    more_distance = torch.cat([distance, *[distance[chosen]] * (copies - 1)])
    more_severity = torch.cat([severity, *[severity[chosen]] * (copies - 1)])

    def loss(d, s, balance):
        return batch_preference_loss(d, s, balance=balance, include_healthy=include_healthy)

    balanced = loss(distance, severity, "grade")
    torch.testing.assert_close(loss(more_distance, more_severity, "grade"), balanced, rtol=1e-6, atol=1e-6)
    assert abs(loss(more_distance, more_severity, "none") - loss(distance, severity, "none")) > 1e-4


@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("include_healthy", [False, True])
def test_ungraded_images_change_nothing_and_get_no_gradient(balance, ties, include_healthy):
    distance, severity = distances(7), torch.tensor([3, 1, 0, 2, 2, 1, 0])

    def loss(d, s):
        return batch_preference_loss(d, s, ties=ties, balance=balance, include_healthy=include_healthy)

    value, (gradient,) = value_and_gradients(lambda d: loss(d, severity), distance)
    more, ungraded = torch.cat([distances(3, seed=1), distance]), torch.tensor([-1, -1, -2])
    with_more, (more_gradient,) = value_and_gradients(lambda d: loss(d, torch.cat([ungraded, severity])), more)
    torch.testing.assert_close(with_more, value)
    torch.testing.assert_close(more_gradient[3:], gradient)
    assert (more_gradient[:3] == 0).all()


@pytest.mark.parametrize(
    ("ties", "include_healthy", "expected"),
    [
        ("skip", False, {(1, 2): 1.0, (2, 4): 0.0}),
        ("half", False, {(1, 2): 1.0, (1, 4): 0.5, (2, 4): 0.0}),
        ("zero", False, {(1, 2): 1.0, (1, 4): 0.0, (2, 4): 0.0}),
        ("skip", True, {(0, 1): 0.0, (0, 2): 0.0, (0, 4): 0.0, (1, 2): 1.0, (2, 4): 0.0}),
    ],
)
def test_comparable_pairs(ties, include_healthy, expected):
    a, b, preference = comparable_pairs(torch.tensor([0, 3, 1, -1, 3]), ties, include_healthy)
    found = {(i, j): p for i, j, p in zip(a.tolist(), b.tolist(), preference.tolist())}
    assert found == expected
    assert len(a) == len(expected)


def test_ties_pull_together_push_apart_or_count_for_nothing():
    distance, severity = torch.tensor([0.9, 0.4]), torch.tensor([2, 2])
    gradient = {
        ties: value_and_gradients(lambda d, t=ties: batch_preference_loss(d, severity, ties=t), distance)[1][0]
        for ties in TIES
    }
    assert gradient["skip"].tolist() == [0, 0]
    assert gradient["half"][0] > 0 > gradient["half"][1]
    # at equal distances only "half" is at rest
    at_rest = torch.tensor([0.4, 0.4])
    half, zero = (
        value_and_gradients(lambda d, t=ties: batch_preference_loss(d, severity, ties=t), at_rest)[1][0]
        for ties in ("half", "zero")
    )
    assert half.tolist() == [0, 0]
    assert zero.tolist() == [0.5, -0.5]


@pytest.mark.parametrize("severity", [[], [3], [0, 0, 0], [-1, -1], [2, 2, 2], [0, 1, -1, 1]])
@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_batch_without_a_comparable_pair_costs_0_and_keeps_the_graph(severity, balance, reduction):
    embeddings, healthy = random(len(severity), 3).requires_grad_(), random(3, seed=1).requires_grad_()
    value = PreferenceLoss(balance=balance, reduction=reduction)(
        embeddings, torch.tensor(severity, dtype=torch.long), healthy
    )
    value.backward()
    assert value.item() == 0
    assert (embeddings.grad == 0).all()
    assert (healthy.grad == 0).all()


def test_no_explicit_pair_costs_0_and_keeps_the_graph():
    embeddings = random(2, 3).requires_grad_()
    none = torch.zeros(0)
    value = PreferenceLoss()(embeddings, none, random(3), pairs=torch.zeros(0, 2, dtype=torch.long), weight=none)
    value.backward()
    assert value.item() == 0
    assert (embeddings.grad == 0).all()


def test_pairs_of_weight_0_change_nothing():
    a, b = distances(2, 4)
    preference = torch.tensor([1.0, 0.0, 1.0, 0.0])
    kept = preference_loss(a[:2], b[:2], preference[:2])
    torch.testing.assert_close(preference_loss(a, b, preference, torch.tensor([1.0, 1.0, 0.0, 0.0])), kept)
    assert preference_loss(a, b, preference, torch.zeros(4)).item() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    embeddings, healthy, severity = random(8, 16, dtype=dtype), random(16, seed=1, dtype=dtype), grades(8)
    loss = PreferenceLoss(scale=20.0)
    value, gradients = value_and_gradients(lambda x, h: loss(x, severity, h), embeddings, healthy)
    assert value.dtype == torch.float32
    torch.testing.assert_close(
        value.double(), loss(embeddings.double(), severity, healthy.double()), rtol=1e-5, atol=1e-5
    )
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert preference_loss(*torch.ones(2, 3, dtype=dtype), torch.ones(3)).dtype == torch.float32


def test_zero_vectors_give_finite_gradients():
    embeddings = random(3, 4)
    embeddings[1] = 0
    severity = torch.tensor([1, 2, 3])
    value, gradients = value_and_gradients(
        lambda x, healthy: PreferenceLoss()(x, severity, healthy), embeddings, torch.zeros(4, dtype=torch.float64)
    )
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("ties", TIES)
def test_gradients_are_those_of_finite_differences(ties):
    a, b = distances(2, 4)
    soft, weight, severity = random(4, seed=1).sigmoid(), random(4, seed=2).abs(), torch.tensor([2, 1, 2, 3])
    assert torch.autograd.gradcheck(
        lambda *pair: preference_loss(*pair, soft, weight, 3.0), (a.requires_grad_(), b.requires_grad_())
    )
    assert torch.autograd.gradcheck(lambda d: batch_preference_loss(d, severity, ties=ties), a)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, "scale must be above 0, got 0.0"),
        ({"scale": -1.0}, "scale must be above 0, got -1.0"),
        ({"ties": "drop"}, "drop"),
        ({"balance": "class"}, "class"),
        ({"reduction": "median"}, "median"),
    ],
)
def test_unusable_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        PreferenceLoss(**options)


def test_unknown_options_are_named_by_the_functions_too():
    distance, severity = torch.ones(2), torch.tensor([1, 2])
    with pytest.raises(ValueError, match="drop"):
        comparable_pairs(severity, ties="drop")
    with pytest.raises(ValueError, match="class"):
        batch_preference_loss(distance, severity, balance="class")
    with pytest.raises(ValueError, match="median"):
        preference_loss(distance, distance, torch.ones(2), reduction="median")


@pytest.mark.parametrize("preference", [torch.ones(3, 1), torch.ones(2)])
def test_preferences_of_another_shape_are_refused(preference):
    with pytest.raises(ValueError, match="size"):
        preference_loss(torch.ones(3), torch.ones(3), preference)


@pytest.mark.parametrize("weight", [torch.ones(3, 1), torch.ones(1)])
def test_weights_of_another_shape_are_refused(weight):
    with pytest.raises(ValueError, match=r"weight must have one value a pair, shape \(3,\)"):
        preference_loss(torch.ones(3), torch.ones(3), torch.ones(3), weight)
