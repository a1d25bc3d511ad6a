# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import torch

from monai_semise.methods.dino import DinoLoss
from tests.losses.reference import assert_agree, random
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start, train


def slow(views):
    student, teacher = views[:, :, 0], views[:, :, 1].detach()
    center = teacher.flatten(0, 1).mean(dim=0)
    total = 0
    for view in (0, 1):
        for s, t in zip(student[view], teacher[1 - view]):
            wanted = torch.exp((t - center) / 0.04)
            learned = torch.exp(s / 0.1)
            total = total - (wanted / wanted.sum() * torch.log(learned / learned.sum())).sum()
    return total / (2 * views.shape[1])


def test_equals_the_definition():
    views = random(2, 4, 2, 6, dtype=torch.float32).clamp(-1, 1)
    assert_agree(lambda v: DinoLoss(6)(v, {}), slow, views)


def test_center_starts_with_the_first_batch_and_moves_by_its_momentum():
    loss = DinoLoss(n_outputs=3, center_momentum=0.75)
    views = random(2, 4, 2, 3, dtype=torch.float32)
    loss(views, {})
    mean = views[:, :, 1].mean(dim=(0, 1))
    torch.testing.assert_close(loss.center, mean)
    loss(views + 4, {})
    torch.testing.assert_close(loss.center, mean + 1)


def test_gradient_into_the_student_only():
    views = random(2, 4, 2, 3, dtype=torch.float32).requires_grad_()
    DinoLoss(3)(views, {}).backward()
    assert (views.grad[:, :, 1] == 0).all()
    assert (views.grad[:, :, 0] != 0).all()


def test_every_weight_of_the_student_gets_a_gradient_and_no_grade_is_read(tmp_path):
    flow = start(tmp_path, "dino", n_outputs=32)
    images, _ = first_batch(flow)
    network = part(flow, "network")
    assert silent_gradients(network, loss_of(flow, images, {})) == []
    assert all(p.grad is None for p in network.teacher.parameters())


def test_no_collapse(tmp_path):
    flow = start(tmp_path, "dino", n_outputs=32, val_interval=9, train__trainer__max_epochs=4)
    train(flow)
    loss, network = part(flow, "train::loss"), part(flow, "network").train()
    images, _ = first_batch(flow)
    output = part(flow, "train::inferer")(images, network)
    loss(output, {})
    assert 0.01 < float(loss.terms["teacher_entropy"]) < 0.9 * math.log(32)  # neither one winner nor uniform
    winners = (output[:, :, 1].flatten(0, 1) - loss.center).argmax(dim=1)
    assert len(winners.unique()) > 4


def test_learns(tmp_path):
    settings = {"teacher_momentum": 0.97, "center_momentum": 0.5, "n_outputs": 64, "embedding_dim": 64}
    assert_learns(tmp_path, "dino", epochs=20, batch_size=16, encoder_lr=0.05, head_lr=0.05, **settings)
