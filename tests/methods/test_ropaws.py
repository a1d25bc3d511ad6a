# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest
import torch

from monai_semise.methods.projection_net import ProjectionNet
from monai_semise.methods.ropaws import RopawsLoss, sharpened
from tests.losses.reference import assert_agree, cosine, random
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start

K, TAU, SMOOTHING, RATIO, PRIOR_TAU = 3, 0.5, 0.1, 5.0, 0.7
SEVERITY = torch.tensor([0, 2, -1, 1, 0, -1])


def ropaws():
    return RopawsLoss(K, TAU, label_smoothing=SMOOTHING, label_ratio=RATIO, prior_temperature=PRIOR_TAU)


def slow(views, severity):
    """The definition, view by view; J by repeating its equation until it no longer changes."""
    n = len(severity)
    rows, grades = [*views[0, :, -1], *views[1, :, -1]], severity.tolist() * 2
    labels, others = ([x for x in range(2 * n) if (grades[x] >= 0) == graded] for graded in (True, False))
    q = {x: torch.full((K,), SMOOTHING / K).double() for x in labels}
    for x in labels:
        q[x][grades[x]] += 1 - SMOOTHING
    p, prior, of_labels, of_others = [], [], [], []
    for x in range(2 * n):
        seen, strangers = ([k for k in group if k % n != x % n] for group in (labels, others))
        sizes = [sum(grades[k] == grade for k in seen) for grade in range(K)]
        present = sum(size > 0 for size in sizes)
        near = {k: torch.exp(cosine(rows[x], rows[k]) / TAU) for k in seen + strangers}
        density = {k: near[k] / sizes[grades[k]] / present for k in seen}
        p.append(sum(density[k] * q[k] for k in seen) / sum(density.values()))
        unlabelled = {k: near[k].detach() / len(strangers) for k in strangers}
        total = RATIO * sum(value.detach() for value in density.values()) + sum(unlabelled.values())
        closest = max(float(cosine(rows[x], rows[k]).detach()) for k in seen)
        prior.append(1.0 if grades[x] >= 0 else math.exp((closest - 1) / PRIOR_TAU))
        of_labels.append(sum(RATIO * density[k].detach() / total * q[k] for k in seen))
        of_others.append({k: value / total for k, value in unlabelled.items()})
    joint = [torch.zeros(K).double()] * (2 * n)
    for _ in range(300):
        joint = [
            prior[x] * (of_labels[x] + sum(share * joint[u] for u, share in of_others[x].items())) for x in range(2 * n)
        ]
    disagreement, mean = torch.zeros(()), torch.zeros(K)
    for x in range(2 * n):
        wanted = (joint[x] + (1 - joint[x].sum()) / K) ** 4
        other = (x + n) % (2 * n)
        inside = (joint[x].sum() + joint[other].sum()) / 2
        disagreement = disagreement - inside * (wanted / wanted.sum() * torch.log(p[other])).sum()
        mean = mean + p[x] ** 4 / (p[x] ** 4).sum() / (2 * n)
    return disagreement / (2 * n) + (mean * torch.log(mean)).sum()


@pytest.mark.parametrize("severity", [SEVERITY, SEVERITY.abs(), torch.tensor([0, -1, -1, 2, -1, 0])])
def test_equals_the_definition(severity):
    assert_agree(lambda v: ropaws()(v, {"severity": severity}), lambda v: slow(v, severity), random(2, 6, 2, 4))


def paws_predictions(loss, views, severity):
    """What the labels alone say of each view, the views of an image not of each other."""
    n, grade = len(severity), severity.repeat(2)
    rows = torch.nn.functional.normalize(views[:, :, -1].flatten(0, 1), dim=1)
    similar = (rows @ rows.T)[:, grade >= 0] / loss.temperature
    same = (torch.arange(2 * n)[:, None] % n) == (torch.arange(2 * n)[grade >= 0] % n)
    labels = loss._labels(grade).to(rows)
    weight = 1 / ((~same).to(rows) @ (labels > 0.5).to(rows))[:, grade[grade >= 0]]
    prediction = (similar.exp() * weight).masked_fill(same, 0)
    return prediction / prediction.sum(dim=1, keepdim=True) @ labels


def test_without_ungraded_images_the_targets_are_those_of_paws():
    loss, views, severity = ropaws(), random(2, 6, 2, 4), torch.tensor([0, 2, 1, 1, 0, 2])
    p = paws_predictions(loss, views, severity)
    wanted = sharpened(p, 0.25)
    expected = -(wanted.roll(6, 0) * p.log()).sum(dim=1).mean()
    loss(views, {"severity": severity})
    torch.testing.assert_close(loss.terms["agreement"], expected)
    assert float(loss.terms["in_domain"]) == pytest.approx(1)


def posterior(loss, directions, severity):
    """Targets of the images of these directions, whose two views are alike, and how much of them lies in the domain."""
    rows, n = directions.repeat(2, 1), len(severity)
    near = (rows @ rows.T).masked_fill(torch.arange(2 * n)[:, None] % n == torch.arange(2 * n) % n, -torch.inf)
    grade = severity.repeat(2)
    wanted, inside = loss._posterior(near, loss._label_logits(near, grade), grade)
    return wanted[:n], inside[:n]


def test_an_image_far_from_all_labels_counts_less_and_is_nearer_to_uniform_than_in_paws():
    loss, severity = RopawsLoss(2, prior_temperature=1.0), torch.tensor([0, 0, 1, 1, -1])
    outcomes = []
    for angle in (0.0, 0.8, 1.4):  # of the ungraded image to grade 0, away from grade 1
        last = [math.cos(angle), 0, math.sin(angle)]
        directions = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], last])
        wanted, inside = posterior(loss, directions, severity)
        views = directions.expand(2, 5, 3)[:, :, None]
        assert angle == 0 or wanted[4, 0] < paws_predictions(loss, views, severity)[4, 0]
        loss(views, {"severity": severity})
        outcomes.append((float(wanted[4, 0]), float(inside[4]), float(loss.terms["in_domain"])))
    probabilities, insides, means = zip(*outcomes)
    assert probabilities[0] > probabilities[1] > probabilities[2] > 0.5
    assert pytest.approx(1) == insides[0] > insides[1] > insides[2]
    assert pytest.approx(1) == means[0] > means[1] > means[2]


def test_ungraded_images_hand_on_what_they_know():
    """A chain of angles: grade 0, a link, an image as far from grade 0 as from grade 1, grade 1."""
    loss = RopawsLoss(2, temperature=0.2, label_ratio=1.0, prior_temperature=100.0)
    angles = torch.tensor([0.0, 0.8, math.pi / 2, math.pi])
    directions = torch.stack([angles.cos(), angles.sin()], dim=1)
    linked, _ = posterior(loss, directions, torch.tensor([0, -1, -1, 1]))
    alone, _ = posterior(loss, directions[[0, 2, 3]], torch.tensor([0, -1, 1]))
    assert float(alone[1, 0]) == pytest.approx(0.5, abs=1e-4)
    assert linked[2, 0] > 0.7


def test_sharpening_makes_the_likeliest_grade_likelier():
    p = torch.tensor([[0.6, 0.3, 0.1]])
    torch.testing.assert_close(sharpened(p, 0.25), p**4 / (p**4).sum())
    assert sharpened(p, 0.25)[0, 0] > 0.9
    torch.testing.assert_close(sharpened(p, 1.0), p)


def test_mean_entropy_moves_the_mean_prediction_towards_uniform():
    generator = torch.Generator().manual_seed(0)
    views = torch.randn(2, 12, 1, 4, generator=generator)
    views = (views + torch.tensor([3.0, 0, 0, 0])).requires_grad_()
    severity = torch.tensor([0, 0, 0, 1, 2] + [-1] * 7)
    loss = RopawsLoss(3)
    optimizer = torch.optim.SGD([views], lr=0.3)
    entropies = []
    for _ in range(40):
        optimizer.zero_grad()
        loss(views, {"severity": severity}).backward()
        entropies.append(float(loss.terms["mean_entropy"]))
        optimizer.step()
    assert entropies[0] < entropies[-1] <= math.log(3)


def test_one_graded_image_is_too_few():
    with pytest.raises(ValueError, match=r"1 of 3 images in the batch are graded, at least 2"):
        RopawsLoss(2)(torch.randn(2, 3, 2, 4), {"severity": torch.tensor([-1, 1, -1])})


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_labels_leave_every_grade_possible_and_tell_grades_apart(smoothing):
    with pytest.raises(ValueError, match=r"label_smoothing must lie in \(0, 1\)"):
        RopawsLoss(2, label_smoothing=smoothing)


def test_every_weight_gets_a_gradient(tmp_path):
    flow = start(tmp_path, "ropaws")
    images, target = first_batch(flow)
    assert silent_gradients(part(flow, "network"), loss_of(flow, images, target)) == []


def test_works_on_volumes():
    network = ProjectionNet("resnet10", spatial_dims=3, embedding_dim=8).train()
    views = network(torch.rand(12, 1, 16, 16, 16)).unflatten(0, (2, 6))
    assert silent_gradients(network, ropaws()(views, {"severity": SEVERITY})) == []


def test_at_most_half_of_a_batch_is_ungraded(tmp_path):
    flow = start(tmp_path, "ropaws", phantoms__unlabelled_fraction=0.8)
    _, target = first_batch(flow)
    assert int((target["severity"] < 0).sum()) == 6  # of 12
    assert len(target["severity"].unique()) > 2


def test_learns(tmp_path):
    assert_learns(tmp_path, "ropaws", epochs=30, embedding_dim=64)  # at higher rates all embeddings may fall together
