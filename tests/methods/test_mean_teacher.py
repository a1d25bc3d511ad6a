# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest
import torch

from monai_semise.methods.mean_teacher import MeanTeacherLoss
from tests.losses.reference import assert_agree, random
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start, train

SEVERITY = torch.tensor([0, 2, -1, 1])


def softmax(logits):
    return torch.exp(logits) / torch.exp(logits).sum()


def slow(views):
    graded = [-torch.log(softmax(views[0, n, 1])[grade]) for n, grade in enumerate(SEVERITY.tolist()) if grade >= 0]
    teacher = views[1, :, 1].detach()
    consistency = [((softmax(s) - softmax(t)) ** 2).mean() for s, t in zip(views[0, :, 1], teacher)]
    return sum(graded) / 3 + 7 * sum(consistency) / 4


def test_equals_the_definition():
    views = random(2, 4, 2, 3, dtype=torch.float32)
    assert_agree(lambda v: MeanTeacherLoss(weight=7)(v, {"severity": SEVERITY}), slow, views)


def test_consistency_ramps_up():
    loss = MeanTeacherLoss(weight=100, ramp_up_steps=4)
    expected = [100 * math.exp(-5 * (1 - t / 4) ** 2) for t in range(4)] + [100, 100]
    assert [loss.weight_at(step) for step in range(6)] == pytest.approx(expected)
    views, target = random(2, 4, 2, 3, dtype=torch.float32), {"severity": SEVERITY}
    for weight in expected:
        value = loss(views, target)
        assert float(value) == pytest.approx(float(loss.terms["cross_entropy"] + weight * loss.terms["consistency"]))


def test_student_and_teacher_differ_and_agreement_teaches_the_student_alone(tmp_path):
    flow = start(tmp_path, "mean-teacher")
    images, target = first_batch(flow)
    network = part(flow, "network").train()
    output = part(flow, "train::inferer")(images, network)
    assert not torch.allclose(output[0], output[1], atol=1e-3)
    assert output[0].requires_grad
    ungraded = {"severity": torch.full_like(target["severity"], -1)}
    loss = MeanTeacherLoss(weight=1.0)
    value = loss(output, ungraded)
    assert float(loss.terms["cross_entropy"]) == 0
    assert float(loss.terms["consistency"]) > 0
    assert silent_gradients(network, value) == []
    assert all(p.grad is None for p in network.teacher.parameters())


def test_grades_teach_too_and_ungraded_images_are_no_grade(tmp_path):
    flow = start(tmp_path, "mean-teacher", consistency_weight=0.0)
    images, target = first_batch(flow)
    assert silent_gradients(part(flow, "network"), loss_of(flow, images, target)) == []
    views = random(2, 4, 2, 3, dtype=torch.float32)
    loss = MeanTeacherLoss(weight=0.0)
    changed = views.clone()
    changed[:, 2] += random(2, 3, seed=5, dtype=torch.float32)
    assert loss(views, {"severity": SEVERITY}) == loss(changed, {"severity": SEVERITY})


def test_training_moves_the_teacher_after_the_student(tmp_path):
    flow = start(tmp_path, "mean-teacher", val_interval=9)
    train(flow)
    network = part(flow, "network")
    assert int(network.teacher.step) == int(network.loss.step) > 2
    assert not torch.equal(network.head.weight, network.teacher.network.head.weight)


def test_a_few_grades_among_many_ungraded_images_are_all_learned(tmp_path):
    flow = start(tmp_path, "mean-teacher", phantoms__unlabelled_fraction=0.9, phantoms__n_training=400, batch_size=16)
    _, target = first_batch(flow)
    assert int((target["severity"] < 0).sum()) == 8
    assert target["severity"].unique().tolist() == [-1, 0, 1, 2, 3, 4]


def test_learns(tmp_path):
    assert_learns(tmp_path, "mean-teacher", epochs=6, consistency_weight=1.0)
