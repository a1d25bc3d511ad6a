# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss

from monai_semise.losses.cosine import unit_vectors
from monai_semise.methods.info_nce import info_nce_loss
from monai_semise.methods.key_queue import KeyQueue
from monai_semise.methods.moco import MocoLoss
from tests.losses.reference import assert_agree, cosine, random
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start, train


def slow(queries, keys, negatives):
    terms = []
    for n, query in enumerate(queries):
        similar = [torch.exp(cosine(query, other) / 0.2) for other in (*keys, *negatives)]
        terms.append(-torch.log(similar[n] / sum(similar)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("n_negatives", [1, 4])
def test_equals_the_definition(n_negatives):
    values = (*random(2, 3, 5), random(n_negatives, 5, seed=1))
    assert_agree(lambda q, k, n: info_nce_loss(q, k, 0.2, n), slow, *values)


def test_equals_pytorch_metric_learning():
    queries, keys = random(2, 6, 8, dtype=torch.float32)
    labels = torch.arange(6)
    expected = NTXentLoss(temperature=0.2)(queries, labels, ref_emb=keys, ref_labels=labels.clone())
    torch.testing.assert_close(info_nce_loss(queries, keys, 0.2), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_exact_at_a_low_temperature(dtype):
    queries, keys = random(2, 6, 8, dtype=dtype)
    expected = info_nce_loss(queries.double(), keys.double(), 0.01)
    torch.testing.assert_close(info_nce_loss(queries, keys, 0.01).double(), expected, rtol=1e-5, atol=1e-5)


def test_queue_fills_wraps_and_holds_unit_vectors():
    queue = KeyQueue(size=5, embedding_dim=3)
    pushed = random(12, 3, dtype=torch.float32)
    assert len(queue.keys()) == 0
    queue.push(pushed[:3])
    torch.testing.assert_close(queue.keys(), unit_vectors(pushed[:3]))
    assert not queue.full
    queue.push(pushed[3:6])
    torch.testing.assert_close(queue.keys(), unit_vectors(pushed[[5, 1, 2, 3, 4]]))
    assert queue.full
    queue.push(pushed)  # more than it holds: the last ones, each in its turn
    torch.testing.assert_close(queue.keys(), unit_vectors(pushed[[9, 10, 11, 7, 8]]))


def test_an_empty_queue_is_named():
    with pytest.raises(ValueError, match="at least 1 key, got size 0"):
        KeyQueue(0, 3)


def test_queue_holds_the_teachers_keys_and_no_gradient():
    loss = MocoLoss(queue_size=8, embedding_dim=5)
    views = random(2, 4, 2, 5, dtype=torch.float32).requires_grad_()
    loss(views, {})
    second = loss(views, {})
    second.backward()
    assert (views.grad[1] == 0).all()
    assert (views.grad[0, :, -1] != 0).any()
    torch.testing.assert_close(loss.queue.keys(), unit_vectors(views[1, :, -1].detach()).repeat(2, 1))
    assert not loss.queue.keys().requires_grad


def test_every_weight_of_the_student_gets_a_gradient_and_no_grade_is_read(tmp_path):
    flow = start(tmp_path, "moco")
    images, _ = first_batch(flow)
    network = part(flow, "network")
    assert silent_gradients(network, loss_of(flow, images, {})) == []
    assert all(p.grad is None for p in network.teacher.parameters())


def test_training_fills_the_queue_and_teacher_and_student_differ(tmp_path):
    flow = start(tmp_path, "moco", val_interval=9)
    losses = train(flow)
    network = part(flow, "network")
    assert all(torch.tensor(losses).isfinite())
    assert network.loss.queue.full
    assert len(network.loss.queue.ring) == 20  # half the images
    torch.testing.assert_close(network.loss.queue.ring.norm(dim=1), torch.ones(20))
    student, teacher = network.projection[0].weight, network.teacher.network.projection[0].weight
    assert not torch.equal(student, teacher)


def test_learns(tmp_path):
    settings = {"teacher_momentum": 0.99, "queue_size": 64, "embedding_dim": 64, "encoder_lr": 0.03, "head_lr": 0.03}
    assert_learns(tmp_path, "moco", epochs=20, batch_size=16, **settings)
