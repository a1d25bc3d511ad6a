# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch

from monai_semise.methods.moco_v3 import MocoV3Loss
from tests.losses.reference import assert_agree, cosine, random
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start


def slow(views):
    total = 0
    for view in (0, 1):
        queries, keys = views[view, :, 0], views[1 - view, :, 1]
        for i, query in enumerate(queries):
            similar = [torch.exp(cosine(query, key) / 0.5) for key in keys]
            total = total - torch.log(similar[i] / sum(similar)) / len(queries)
    return 2 * 0.5 * total


def test_equals_the_definition():
    assert_agree(lambda v: MocoV3Loss(0.5)(v, {}), slow, random(2, 4, 2, 6))


def test_every_weight_of_the_student_gets_a_gradient_and_no_grade_is_read(tmp_path):
    flow = start(tmp_path, "moco-v3")
    images, _ = first_batch(flow)
    network = part(flow, "network")
    assert silent_gradients(network, loss_of(flow, images, {})) == []
    assert all(p.grad is None for p in network.teacher.parameters())


def test_learns(tmp_path):
    settings = {"teacher_momentum": 0.9, "temperature": 0.2, "encoder_lr": 0.1, "head_lr": 0.1}
    assert_learns(tmp_path, "moco-v3", epochs=14, **settings)
