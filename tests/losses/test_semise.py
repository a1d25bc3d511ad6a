# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.losses import (
    HealthyAnomalyLoss,
    NTXentLoss,
    PreferenceLoss,
    SemiseLoss,
    comparable_pairs,
    healthy_reference,
    semise_loss,
)
from monai_semise.networks import SemiseNet
from monai_semise.utils.heads import CONTRAST, PREFERENCE, PROJECTION, THRESHOLDS
from tests.losses import reference
from tests.losses.reference import DTYPES, assert_agree, random, value_and_gradients

SEVERITY = torch.tensor([0, 2, 1, -1, 0, 3, 2, -1])
HEADS = (2, 3)


def embeddings(heads=2, views=2, dtype=torch.float64):
    return random(views, len(SEVERITY), heads, 5, dtype=dtype)


def target(**more):
    return {"severity": SEVERITY, **more}


def all_pairs(**options):
    a, b, preference = comparable_pairs(SEVERITY, **options)
    return {"pairs": torch.stack([a, b], dim=1), "preference": preference}


def preference_alone(input, **options):
    loss = PreferenceLoss(**options)
    return loss(input[0, :, PREFERENCE], SEVERITY, healthy_reference(input[0, :, PROJECTION], SEVERITY))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_equals_the_definition(alpha, heads, dtype, reduction):
    options = (2.0, "half", "grade", True)

    def oracle(input):
        contrast = reference.nt_xent(*input[:, :, CONTRAST], 0.2, reduction)
        healthy = torch.stack([row for row, grade in zip(input[0, :, PROJECTION], SEVERITY) if grade == 0]).mean(0)
        distance = torch.stack([1 - reference.cosine(row, healthy) for row in input[0, :, PREFERENCE]])
        return alpha * contrast + (1 - alpha) * reference.batch_preference(distance, SEVERITY, *options, reduction)

    loss = SemiseLoss(alpha, 0.2, *options, reduction=reduction)
    assert_agree(lambda x: loss(x, target()), oracle, embeddings(heads, dtype=dtype))


@pytest.mark.parametrize("heads", HEADS)
def test_the_third_term_is_rank_n_contrast_of_the_projections_of_graded_images(heads):
    def oracle(input):
        both = semise_loss(reference.nt_xent(*input[:, :, CONTRAST], 0.5, "mean"), preference_alone(input), 0.5)
        terms = reference.rank_n_contrast(input[:, :, PROJECTION].flatten(0, 1), SEVERITY.repeat(2), 0.7)
        return both + 0.3 * sum(terms.values()) / len(terms)

    loss = SemiseLoss(grade_weight=0.3, grade_temperature=0.7)
    assert_agree(lambda x: loss(x, target()), oracle, embeddings(heads))
    assert set(loss.terms) == {"nt_xent", "preference", "grade"}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_fourth_term_is_corn_of_the_thresholds_of_all_views_of_graded_images(reduction):
    def oracle(input):
        both = SemiseLoss(reduction=reduction)(input, target())
        return both + 0.3 * reference.corn(input[:, :, THRESHOLDS, :3].flatten(0, 1), SEVERITY.repeat(2), reduction)

    loss = SemiseLoss(ordinal_weight=0.3, n_grades=4, reduction=reduction)
    assert_agree(lambda x: loss(x, target()), oracle, embeddings(4))
    assert set(loss.terms) == {"nt_xent", "preference", "ordinal"}


def test_without_grades_the_terms_of_grades_are_0():
    loss = SemiseLoss(alpha=1, grade_weight=1, ordinal_weight=1, n_grades=4)
    value = loss(embeddings(4), {"severity": torch.full_like(SEVERITY, -1)})
    assert loss.terms["grade"] == loss.terms["ordinal"] == 0
    assert value == loss.terms["nt_xent"]


@pytest.mark.parametrize("heads", HEADS)
def test_the_fourth_term_without_thresholds_is_refused(heads):
    with pytest.raises(ValueError, match=rf"a network with n_grades, got input of shape \(2, 8, {heads}, 5\)"):
        SemiseLoss(ordinal_weight=1, n_grades=4)(embeddings(heads), target())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grade_weight": -0.1}, "grade_weight must not be negative, got -0.1"),
        ({"grade_temperature": 0}, "temperature must be above 0, got 0"),
        ({"ordinal_weight": -0.1, "n_grades": 4}, "ordinal_weight must not be negative, got -0.1"),
        ({"ordinal_weight": 0.5}, "ordinal_weight 0.5 needs n_grades"),
    ],
)
def test_bad_options_of_the_terms_of_grades_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SemiseLoss(**options)


@pytest.mark.parametrize("heads", HEADS)
def test_alpha_1_is_nt_xent_alone(heads):
    value, (gradient,) = value_and_gradients(lambda x: SemiseLoss(alpha=1)(x, target()), embeddings(heads))
    expected, (expected_gradient,) = value_and_gradients(lambda x: NTXentLoss()(*x[:, :, CONTRAST]), embeddings(heads))
    assert torch.equal(value, expected)
    assert torch.equal(gradient, expected_gradient)


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("views", [1, 2])
def test_alpha_0_is_preference_alone_and_needs_but_one_view(views, heads):
    given = embeddings(heads, views)
    value, (gradient,) = value_and_gradients(lambda x: SemiseLoss(alpha=0)(x, target()), given)
    expected, (expected_gradient,) = value_and_gradients(preference_alone, given)
    assert torch.equal(value, expected)
    assert torch.equal(gradient, expected_gradient)


def test_alpha_1_needs_neither_grades_nor_healthy_images():
    assert SemiseLoss(alpha=1)(embeddings(), {}).isfinite()


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_terms_are_reported_apart_and_without_graph(alpha):
    loss = SemiseLoss(alpha)
    value = loss(embeddings().requires_grad_(), target())
    nt_xent, preference = NTXentLoss()(*embeddings()[:, :, CONTRAST]), preference_alone(embeddings())
    assert set(loss.terms) == {"nt_xent", "preference"}
    assert not any(term.requires_grad for term in loss.terms.values())
    torch.testing.assert_close(loss.terms["nt_xent"], nt_xent if alpha > 0 else nt_xent * 0)
    torch.testing.assert_close(loss.terms["preference"], preference if alpha < 1 else preference * 0)
    torch.testing.assert_close(value.detach(), semise_loss(loss.terms["nt_xent"], loss.terms["preference"], alpha))


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_ungraded_images_learn_from_nt_xent_alone(alpha):
    _, (gradient,) = value_and_gradients(lambda x: SemiseLoss(alpha)(x, target()), embeddings(3))
    ungraded = gradient[:, SEVERITY < 0]
    assert (ungraded[:, :, PROJECTION] == 0).all()
    assert (ungraded[:, :, PREFERENCE] == 0).all()
    assert (ungraded[:, :, CONTRAST] != 0).all() == (alpha > 0)


def test_ungraded_images_do_not_change_the_preference_term():
    graded = SEVERITY >= 0
    loss = SemiseLoss()
    loss(embeddings(), target())
    with_ungraded = loss.terms
    loss(embeddings()[:, graded], {"severity": SEVERITY[graded]})
    torch.testing.assert_close(with_ungraded["preference"], loss.terms["preference"])
    assert with_ungraded["nt_xent"] != loss.terms["nt_xent"]


def test_only_the_first_view_is_graded():
    _, (gradient,) = value_and_gradients(lambda x: SemiseLoss(0)(x, target()), embeddings())
    assert gradient[0].abs().max() > 0
    assert (gradient[1] == 0).all()


@pytest.mark.parametrize("detach", [False, True])
def test_the_healthy_reference_learns_unless_detached(detach):
    _, (gradient,) = value_and_gradients(lambda x: SemiseLoss(0, detach_reference=detach)(x, target()), embeddings())
    assert (gradient[0, SEVERITY == 0, PROJECTION] == 0).all() == detach
    assert (gradient[0, SEVERITY != 0, PROJECTION] == 0).all()
    assert (gradient[0, SEVERITY > 0, PREFERENCE] != 0).any()


@pytest.mark.parametrize("include_healthy", [False, True])
@pytest.mark.parametrize("ties", ["skip", "half", "zero"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_explicit_pairs_of_the_whole_batch_equal_the_in_batch_form(reduction, ties, include_healthy):
    options = {"ties": ties, "include_healthy": include_healthy}
    explicit = target(**all_pairs(**options))
    assert_agree(
        lambda x: SemiseLoss(reduction=reduction)(x, explicit),
        lambda x: SemiseLoss(reduction=reduction, balance="none", **options)(x, target()),
        embeddings(),
    )


def test_explicit_pairs_weighted_by_grade_equal_the_balanced_form():
    explicit = all_pairs()
    members = [tuple(sorted(SEVERITY[pair].tolist())) for pair in explicit["pairs"]]
    explicit["weight"] = torch.tensor([1 / members.count(pair) for pair in members])
    assert_agree(lambda x: SemiseLoss()(x, target(**explicit)), lambda x: SemiseLoss()(x, target()), embeddings())


def test_explicit_pairs_may_name_ungraded_images():
    explicit = target(pairs=torch.tensor([[3, 7]]), preference=torch.tensor([1.0]))
    _, (gradient,) = value_and_gradients(lambda x: SemiseLoss(0)(x, explicit), embeddings())
    learns = gradient[0, :, PREFERENCE].abs().amax(1) > 0
    assert learns.tolist() == [i in (3, 7) for i in range(8)]


@pytest.mark.parametrize("balance", ["class", "none"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_phase_1_is_the_margin_loss_between_healthy_and_anomalous(reduction, balance):
    loss = HealthyAnomalyLoss(0.8, balance, reduction)
    assert_agree(
        lambda x: loss(x, target()),
        lambda x: reference.batch_margin_contrastive(
            x[0, :, PROJECTION], torch.tensor([min(grade, 1) for grade in SEVERITY]), 0.8, balance, reduction
        ),
        embeddings(3),
    )
    assert set(loss.terms) == {"margin_contrastive"}
    torch.testing.assert_close(loss.terms["margin_contrastive"], loss(embeddings(3), target()).mean())


def gradient_norms(loss, separate_heads, n_grades):
    """Norm of the gradient of each part of a small network."""
    torch.manual_seed(0)
    network = SemiseNet("resnet10", embedding_dim=8, separate_heads=separate_heads, n_grades=n_grades)
    images = random(2, len(SEVERITY), 1, 32, 32, dtype=torch.float32)
    loss(network(images.flatten(0, 1)).unflatten(0, (2, len(SEVERITY))), target()).backward()
    return {
        name: torch.stack([parameter.grad.norm() for parameter in part.parameters()]).norm().item()
        for name, part in network.named_children()
    }


@pytest.mark.parametrize(
    ("loss", "separate_heads", "learning"),
    [
        (SemiseLoss(0.5), False, {"encoder", "projection", "preference"}),
        (SemiseLoss(1.0), False, {"encoder", "projection", "preference"}),
        (SemiseLoss(0.0), False, {"encoder", "projection", "preference"}),
        (SemiseLoss(0.5), True, {"encoder", "projection", "preference", "contrast"}),
        (SemiseLoss(1.0), True, {"encoder", "projection", "contrast"}),
        (SemiseLoss(0.0), True, {"encoder", "projection", "preference"}),
        (SemiseLoss(0.5, ordinal_weight=1, n_grades=4), False, {"encoder", "projection", "preference", "thresholds"}),
        (SemiseLoss(1.0, ordinal_weight=1, n_grades=4), True, {"encoder", "projection", "contrast", "thresholds"}),
        (HealthyAnomalyLoss(), False, {"encoder", "projection"}),
        (HealthyAnomalyLoss(), True, {"encoder", "projection"}),
    ],
    ids=lambda value: f"alpha={value.alpha}" if isinstance(value, SemiseLoss) else None,
)
def test_each_term_reaches_the_parts_it_should_and_every_parameter_has_a_gradient(loss, separate_heads, learning):
    n_grades = 4 if "thresholds" in learning else None
    norms = gradient_norms(loss, separate_heads, n_grades)
    assert {name for name, norm in norms.items() if norm > 1e-6} == learning
    assert all(norms[name] == 0 for name in set(norms) - learning)


def test_phase_1_gives_every_parameter_of_a_network_with_thresholds_a_gradient():
    norms = gradient_norms(HealthyAnomalyLoss(), separate_heads=False, n_grades=4)
    assert {name for name, norm in norms.items() if norm > 0} == {"encoder", "projection"}
    assert "thresholds" in norms


def test_gradients_are_those_of_finite_differences():
    severity = torch.tensor([0, 2, 1, -1])
    loss = SemiseLoss(0.4, temperature=0.3)
    assert torch.autograd.gradcheck(lambda x: loss(x, {"severity": severity}), random(2, 4, 2, 3).requires_grad_())
    terms = random(2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: semise_loss(*x, alpha=0.3), terms)


def test_zero_vectors_give_finite_gradients():
    given = embeddings()
    given[:, 1:3] = 0
    given[0, SEVERITY == 0] = 0
    for loss in (SemiseLoss(), HealthyAnomalyLoss()):
        value, (gradient,) = value_and_gradients(lambda x, loss=loss: loss(x, target()), given)
        assert value.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -0.1}, r"alpha must lie in \[0, 1\], got -0.1"),
        ({"alpha": 1.5}, r"alpha must lie in \[0, 1\], got 1.5"),
        ({"alpha": float("nan")}, r"alpha must lie in \[0, 1\], got nan"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"scale": 0.0}, "scale must be above 0"),
        ({"ties": "drop"}, "drop"),
        ({"balance": "class"}, "class"),
        ({"reduction": "none"}, 'reduction must be "mean" or "sum"'),
        ({"reduction": "median"}, "median"),
    ],
)
def test_unusable_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SemiseLoss(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"margin": 3.0}, "margin is a cosine distance"), ({"balance": "grade"}, "grade"), ({"reduction": "x"}, "x")],
)
def test_unusable_options_of_phase_1_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        HealthyAnomalyLoss(**options)


@pytest.mark.parametrize("views", [1, 3])
def test_nt_xent_with_another_number_of_views_is_refused(views):
    with pytest.raises(ValueError, match=rf"NT-Xent compares two views, got input of shape \({views}, 8, 2, 5\)"):
        SemiseLoss(0.5)(embeddings(views=views), target())


def test_a_batch_without_a_healthy_image_is_refused():
    with pytest.raises(ValueError, match=r"no healthy image \(severity 0\)"):
        SemiseLoss(0.5)(embeddings(), {"severity": SEVERITY.abs() + 1})


@pytest.mark.parametrize("loss", [SemiseLoss(alpha=0.0), SemiseLoss(alpha=1.0), HealthyAnomalyLoss()], ids=repr)
def test_other_shapes_are_named(loss):
    with pytest.raises(ValueError, match=r"shape \(V, N, H, D\).*got \(4, 2, 5\)"):
        loss(torch.rand(4, 2, 5), {"severity": torch.tensor([0, 1, 2, 2])})
