# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.methods.swav import SwavLoss, sinkhorn_codes
from tests.losses.reference import assert_agree, cosine, random
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start, train


def slow_codes(scores, n_iterations=3):
    codes = torch.exp(scores / 0.05)
    n, k = codes.shape
    codes = codes / codes.sum()
    for _ in range(n_iterations):
        for column in range(k):
            codes[:, column] = codes[:, column] / codes[:, column].sum() / k
        for row in range(n):
            codes[row] = codes[row] / codes[row].sum() / n
    return codes * n


@pytest.mark.parametrize(("n", "k"), [(4, 7), (9, 3), (1, 2)])
def test_codes_equal_the_iteration_entry_by_entry(n, k):
    scores = random(n, k).tanh()
    torch.testing.assert_close(sinkhorn_codes(scores), slow_codes(scores.clone()))


def test_rows_sum_to_one_and_columns_to_even_shares():
    codes = sinkhorn_codes(random(12, 4).tanh(), n_iterations=2000)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(codes.sum(dim=0), torch.full((4,), 3.0, dtype=torch.float64), rtol=1e-2, atol=1e-2)


def test_codes_are_finite_where_exponentials_overflow():
    codes = sinkhorn_codes(torch.tensor([[1.0, -1.0], [1.0, 0.9]]), epsilon=1e-3)
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(2))


def slow(views, prototypes):
    scores = [torch.stack([torch.stack([cosine(z, p) for p in prototypes]) for z in view[:, -1]]) for view in views]
    total = 0
    for view in (0, 1):
        codes = slow_codes(scores[1 - view].detach().clone())
        learned = torch.exp(scores[view] / 0.1)
        total = total - (codes * torch.log(learned / learned.sum(dim=1, keepdim=True))).sum()
    return total / (2 * views.shape[1])


def test_equals_the_definition():
    def ours(views, prototypes):
        loss = SwavLoss(embedding_dim=6, n_prototypes=5, queue_size=100)
        del loss.prototypes.weight
        loss.prototypes.weight = prototypes
        return loss(views, {})

    assert_agree(ours, slow, random(2, 4, 2, 6), random(5, 6, seed=1))


def test_a_full_queue_takes_part_in_the_codes():
    loss = SwavLoss(embedding_dim=6, n_prototypes=5, queue_size=16)
    views = random(2, 4, 2, 6, dtype=torch.float32)
    values = []
    for _ in range(3):
        values.append(float(loss(views, {})))
    assert loss.queue.full
    assert values[0] == values[1]  # the queue has 8 of 16
    assert values[2] != values[1]
    scores = loss.prototypes(views[1, :, -1])
    expected = slow_codes(torch.cat([loss.prototypes(loss.queue.keys()), scores]).detach().double())[-4:]
    torch.testing.assert_close(loss._codes(scores).double(), expected, rtol=1e-4, atol=1e-5)


def test_every_weight_gets_a_gradient_and_no_grade_is_read(tmp_path):
    flow = start(tmp_path, "swav", n_prototypes=8)
    images, _ = first_batch(flow)
    assert silent_gradients(part(flow, "network"), loss_of(flow, images, {})) == []


def test_prototypes_move_and_are_used_evenly(tmp_path):
    flow = start(tmp_path, "swav", n_prototypes=8, val_interval=9, train__trainer__max_epochs=4)
    before = part(flow, "network").loss.prototypes.weight.detach().clone()
    train(flow)
    loss = part(flow, "train::loss")
    assert not torch.allclose(before, loss.prototypes.weight, atol=1e-3)
    assert float(loss.terms["used_prototypes"]) > 3  # of 8; 1 if all images had the same


def test_learns(tmp_path):
    settings = {"epsilon": 0.01, "n_prototypes": 32, "queue_size": 1, "encoder_lr": 0.1, "head_lr": 0.1}
    assert_learns(tmp_path, "swav", epochs=20, **settings)
