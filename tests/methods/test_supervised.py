# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.losses import balanced_grade_weights
from tests.losses import reference
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start


@pytest.mark.parametrize("name", ["supervised", "corn"])
def test_learns(tmp_path, name):
    assert_learns(tmp_path, name, epochs=6)


@pytest.mark.parametrize("name", ["supervised", "corn"])
def test_every_weight_gets_a_gradient_and_batches_hold_graded_images_alone(tmp_path, name):
    flow = start(tmp_path, name, phantoms__unlabelled_fraction=0.4)
    images, target = first_batch(flow)
    assert target["severity"].min() == 0
    assert silent_gradients(part(flow, "network"), loss_of(flow, images, target)) == []


def test_an_epoch_of_cross_entropy_holds_graded_images_once_and_no_other(tmp_path):
    flow = start(tmp_path, "supervised", phantoms__unlabelled_fraction=0.4, batch_size=4)
    index = [index for batch in part(flow, "train::dataloader") for index in batch["index"].tolist()]
    severity = [item["severity"] for item in part(flow, "training_items")]
    graded = [n for n, grade in enumerate(severity) if grade >= 0]
    assert len(graded) < len(severity)
    assert len(index) == len(set(index)) == len(graded) // 4 * 4
    assert set(index) <= set(graded)


def test_cross_entropy_weighs_the_grades_alike(tmp_path):
    flow = start(tmp_path, "supervised")
    images, target = first_batch(flow)
    value = loss_of(flow, images, target)
    logits = part(flow, "train::inferer")(images, part(flow, "network"))[0, :, 0]
    weight = balanced_grade_weights([item["severity"] for item in part(flow, "training_items")], 5)
    of_image = weight[target["severity"]]
    each = -logits.log_softmax(dim=1).gather(1, target["severity"][:, None])[:, 0]
    torch.testing.assert_close(value, (each * of_image).sum() / of_image.sum())


def test_corn_is_the_loss_of_conditional_logits(tmp_path):
    flow = start(tmp_path, "corn")
    images, target = first_batch(flow)
    value = loss_of(flow, images, target)
    logits = part(flow, "train::inferer")(images, part(flow, "network"))[0, :, 0]
    assert logits.shape[1] == 4
    assert float(value.detach()) == pytest.approx(
        float(reference.corn(logits.detach().double(), target["severity"], "mean")), rel=1e-4
    )
