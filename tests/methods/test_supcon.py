# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning.losses import SupConLoss

from monai_semise.losses import batch_margin_contrastive_loss
from monai_semise.utils.heads import CONTRAST
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start

FASTER = {"encoder_lr": 0.05, "head_lr": 0.05, "supcon_temperature": 0.5}
"""At the paper's temperature of 0.1, all embeddings of the few, short epochs here fall together first."""


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("supcon-2", FASTER),
        ("supcon-n", FASTER),
        ("supcon-2-pairs", {"encoder_lr": 0.1, "head_lr": 0.1}),
        ("supcon-n-pairs", {"encoder_lr": 0.05, "head_lr": 0.05}),
    ],
)
def test_learns(tmp_path, name, settings):
    assert_learns(tmp_path, name, epochs=8, **settings)


@pytest.mark.parametrize("name", ["supcon-2", "supcon-n", "supcon-2-pairs", "supcon-n-pairs"])
def test_every_weight_gets_a_gradient_and_batches_hold_graded_images_alone(tmp_path, name):
    flow = start(tmp_path, name, phantoms__unlabelled_fraction=0.4)
    images, target = first_batch(flow)
    assert len(images) == (1 if name.endswith("pairs") else 2)
    assert target["severity"].min() == 0
    assert silent_gradients(part(flow, "network"), loss_of(flow, images, target)) == []


@pytest.mark.parametrize("name", ["supcon-2", "supcon-n", "supcon-2-pairs", "supcon-n-pairs"])
def test_loss_is_the_one_that_it_names_with_the_classes_that_it_names(tmp_path, name):
    setting = {"margin": 0.8} if name.endswith("pairs") else {"supcon_temperature": 0.3}
    flow = start(tmp_path, name, **setting)
    images, target = first_batch(flow)
    value = loss_of(flow, images, target)
    rows = part(flow, "train::inferer")(images, part(flow, "network"))[:, :, CONTRAST].flatten(0, 1)
    classes = torch.where(target["severity"] > 0, 1, 0) if "-2" in name else target["severity"]
    if name.endswith("pairs"):
        expected = batch_margin_contrastive_loss(rows, classes, margin=0.8)
    else:
        expected = SupConLoss(temperature=0.3)(rows, torch.cat([classes, classes]))
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
