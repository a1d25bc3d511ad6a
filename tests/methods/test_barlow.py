# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.losses import barlow_twins_terms
from monai_semise.utils.heads import CONTRAST
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start


def test_learns(tmp_path):
    assert_learns(tmp_path, "barlow", epochs=7, embedding_dim=256, encoder_lr=0.1, head_lr=0.1)


@pytest.mark.parametrize("term", [0, 1], ids=["invariance", "redundancy"])
def test_each_term_reaches_every_weight(tmp_path, term):
    flow = start(tmp_path, "barlow")
    images, _ = first_batch(flow)
    network = part(flow, "network").train()
    first, second = part(flow, "train::inferer")(images, network)[:, :, CONTRAST]
    silent = silent_gradients(network, barlow_twins_terms(first, second)[term])
    assert set(silent) <= {"projection.3.bias"}  # the mean that it shifts is taken off


def test_loss_is_that_of_the_views_and_of_no_grade(tmp_path):
    flow = start(tmp_path, "barlow", redundancy_weight=0.3)
    images, _ = first_batch(flow)
    value = loss_of(flow, images, {})
    first, second = part(flow, "train::inferer")(images, part(flow, "network"))[:, :, CONTRAST]
    invariance, redundancy = barlow_twins_terms(first, second)
    torch.testing.assert_close(value, (invariance + 0.3 * redundancy) / 16)  # the embedding's dimensions
    assert sorted(part(flow, "train::loss").terms) == ["invariance", "redundancy"]
