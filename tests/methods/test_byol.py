# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch
from torch.nn import functional as F

from monai_semise.methods.byol import ByolLoss
from tests.losses.reference import assert_agree, random
from tests.methods.harness import first_batch, loss_of, part, probe_before_and_after, silent_gradients, start


def slow(views):
    total = 0
    for i in range(views.shape[1]):
        for view in (0, 1):
            prediction, target = views[view, i, 0], views[1 - view, i, 1]
            total = total + ((F.normalize(prediction, dim=0) - F.normalize(target, dim=0)) ** 2).sum()
    return total / views.shape[1]


def test_equals_the_squared_distance_of_unit_vectors():
    assert_agree(lambda v: ByolLoss()(v, {}), slow, random(2, 5, 2, 7))


def test_every_weight_of_the_student_gets_a_gradient_and_no_grade_is_read(tmp_path):
    flow = start(tmp_path, "byol")
    images, _ = first_batch(flow)
    assert not torch.equal(*images)
    network = part(flow, "network")
    assert silent_gradients(network, loss_of(flow, images, {})) == []
    assert all(p.grad is None for p in network.teacher.parameters())


def test_learns(tmp_path):
    settings = {"teacher_momentum": 0.99, "embedding_dim": 64, "encoder_lr": 0.1, "head_lr": 0.1}
    before, after, _ = probe_before_and_after(tmp_path, "byol", epochs=20, batch_size=16, **settings)
    assert after > before + 0.05  # the loss need not fall: its target moves
