# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.methods.fixmatch import FixMatchLoss, stronger_augment
from monai_semise.transforms import RandBatchAugment
from tests.losses.reference import assert_agree, random
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start

SEVERITY = torch.tensor([0, 2, -1, 1])


def logits(seed=0):
    return 2 * random(2, 4, 2, 3, seed=seed, dtype=torch.float32)


def slow(views):
    weak, strong = views[0, :, 1], views[1, :, 1]
    graded, guessed = [], []
    for n, grade in enumerate(SEVERITY.tolist()):
        p = torch.exp(weak[n]) / torch.exp(weak[n]).sum()
        if grade >= 0:
            graded.append(-torch.log(p[grade]))
        if p.max() >= 0.6:
            guessed.append(-torch.log(torch.exp(strong[n]) / torch.exp(strong[n]).sum())[p.argmax()])
    return sum(graded) / 3 + 2 * sum(guessed) / 4


def test_equals_the_definition_and_the_threshold_lets_some_pass():
    loss = FixMatchLoss(threshold=0.6, weight=2)
    assert_agree(lambda v: loss(v, {"severity": SEVERITY}), slow, logits())
    assert 0 < float(loss.terms["confident"]) < 1


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_unusable_threshold_is_named(threshold):
    with pytest.raises(ValueError, match="threshold must lie in"):
        FixMatchLoss(threshold)


def test_guesses_teach_the_strong_view_alone():
    views = logits().requires_grad_()
    FixMatchLoss(threshold=0.0)(views, {"severity": torch.full((4,), -1)}).backward()
    assert (views.grad[0] == 0).all()
    assert (views.grad[1, :, 1] != 0).all()


def test_each_term_reaches_every_weight(tmp_path):
    flow = start(tmp_path, "fixmatch", threshold=0.0)
    images, target = first_batch(flow)
    ungraded = {"severity": torch.full_like(target["severity"], -1)}
    assert silent_gradients(part(flow, "network"), loss_of(flow, images, ungraded)) == []
    flow = start(tmp_path, "fixmatch", threshold=1.0)
    assert silent_gradients(part(flow, "network"), loss_of(flow, images, target)) == []
    assert float(part(flow, "train::loss").terms["pseudo_label"]) == 0


def test_second_view_is_augmented_more_strongly(tmp_path):
    flow = start(tmp_path, "fixmatch")
    batch = next(iter(part(flow, "train::dataloader")))
    (weak, strong), target = part(flow, "train::prepare_batch")(batch)
    assert weak.shape == strong.shape == batch["image"].shape
    assert torch.equal(target["severity"], batch["severity"])
    mean = batch["image"].flatten(1).mean(dim=1)
    weaker, stronger = ((view.flatten(1).mean(dim=1) - mean).abs().mean() for view in (weak, strong))
    assert 0 < weaker < stronger


def test_what_is_set_for_all_holds_for_the_strong_view_too(tmp_path):
    given = {"augment__rotation": 80.0, "augment__flip_axes": [1], "augment__contrast": [0.5, 2.0]}
    strong = part(start(tmp_path, "fixmatch", **given), "strong_augment")
    assert (strong.rotation, strong.flip_axes, strong.contrast) == (180, (1,), (0.125, 8.0))


@pytest.mark.parametrize("factor", [0.5, float("nan")])
def test_a_weaker_strong_view_is_refused(factor):
    with pytest.raises(ValueError, match="factor must be at least 1"):
        stronger_augment(RandBatchAugment(), factor)


def test_a_few_grades_among_many_ungraded_images_are_all_learned(tmp_path):
    flow = start(tmp_path, "fixmatch", phantoms__unlabelled_fraction=0.9, phantoms__n_training=400, batch_size=16)
    _, target = first_batch(flow)
    assert int((target["severity"] < 0).sum()) == 8
    assert target["severity"].unique().tolist() == [-1, 0, 1, 2, 3, 4]


def test_learns(tmp_path):
    assert_learns(tmp_path, "fixmatch", epochs=5)
