# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest
import torch
from monai.losses import DiceCELoss

from monai_semise.losses import DiceCrossEntropyLoss


def logits_and_masks(n=3, structures=2, exclusive=False, shape=(6, 5)):
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(n, structures + exclusive, *shape, generator=random)
    if exclusive:
        labels = torch.randint(0, structures + 1, (n, *shape), generator=random)
        return logits, torch.stack([labels == k for k in range(1, structures + 1)], dim=1).float()
    return logits, (torch.rand(n, structures, *shape, generator=random) < 0.3).float()


def by_hand(logits, masks, exclusive, batch):
    """Pixel by pixel, in double precision."""
    logits, masks = logits.double(), masks.double()
    if exclusive:
        exponent = logits.exp()
        probability = exponent / exponent.sum(dim=1, keepdim=True)
        background = 1 - masks.sum(dim=1, keepdim=True)
        entropy = -(torch.cat([background, masks], dim=1) * probability.log()).sum(dim=1).mean()
        probability = probability[:, 1:]
    else:
        probability = 1 / (1 + (-logits).exp())
        entropy = -(masks * probability.log() + (1 - masks) * (1 - probability).log()).mean()
    losses = []
    for s in range(masks.shape[1]):
        for group in [slice(None)] if batch else [slice(n, n + 1) for n in range(len(masks))]:
            p, t = probability[group, s], masks[group, s]
            losses.append(1 - (2 * (p * t).sum() + 1e-5) / (p.sum() + t.sum() + 1e-5))
    return float(sum(losses) / len(losses)), float(entropy)


@pytest.mark.parametrize("structures", [1, 2, 3])
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 5)])
def test_by_hand(structures, exclusive, batch, shape):
    logits, masks = logits_and_masks(structures=structures, exclusive=exclusive, shape=shape)
    loss = DiceCrossEntropyLoss(exclusive=exclusive, batch=batch)
    value = loss(logits, masks)
    dice, entropy = by_hand(logits, masks, exclusive, batch)
    assert float(value) == pytest.approx(dice + entropy, rel=1e-5)
    assert {name: float(term) for name, term in loss.terms.items()} == pytest.approx(
        {"dice_loss": dice, "cross_entropy": entropy}, rel=1e-5
    )


def test_one_structure_is_monais():
    logits, masks = logits_and_masks(structures=1)
    expected = DiceCELoss(sigmoid=True, batch=True)(logits, masks)
    assert float(DiceCrossEntropyLoss()(logits, masks)) == pytest.approx(float(expected), rel=1e-6)


def test_exclusive_structures_are_monais():
    logits, masks = logits_and_masks(exclusive=True)
    labels = (masks * torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)).sum(dim=1, keepdim=True)
    expected = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False, batch=True)(logits, labels)
    assert float(DiceCrossEntropyLoss(exclusive=True)(logits, masks)) == pytest.approx(float(expected), rel=1e-6)


def test_structures_that_overlap_do_not_compete():
    """MONAI's loss compares the channels with each other, and so sees no difference between all and nothing."""
    masks = torch.ones(1, 2, 4, 4)
    right, wrong = torch.full((1, 2, 4, 4), 9.0), torch.full((1, 2, 4, 4), -9.0)
    assert float(DiceCrossEntropyLoss()(right, masks)) < 1e-3
    assert float(DiceCrossEntropyLoss()(wrong, masks)) > 9
    theirs = DiceCELoss(sigmoid=True, lambda_dice=0)
    assert float(theirs(right, masks)) == float(theirs(wrong, masks))  # this loss can go when they differ


@pytest.mark.parametrize("exclusive", [False, True])
def test_empty_masks_ask_for_nothing(exclusive):
    logits = torch.zeros(2, 1 + exclusive, 4, 4, requires_grad=True)
    DiceCrossEntropyLoss(exclusive=exclusive)(logits, torch.zeros(2, 1, 4, 4)).backward()
    gradient = logits.grad
    assert gradient is not None
    assert (gradient[:, -1] > 0).all()  # descent lowers the structure
    assert not exclusive or (gradient[:, 0] < 0).all()


def test_half_precision_is_computed_in_single():
    logits, masks = (
        torch.full((1, 1, 512, 512), 0.5, dtype=torch.float16),
        torch.ones(1, 1, 512, 512, dtype=torch.uint8),
    )
    value = DiceCrossEntropyLoss()(logits, masks)
    assert value.dtype == torch.float32
    p = 1 / (1 + math.exp(-0.5))
    assert float(value) == pytest.approx(1 - 2 * p / (1 + p) - math.log(p), rel=1e-4)


def test_terms_carry_no_graph():
    logits, masks = logits_and_masks()
    loss = DiceCrossEntropyLoss()
    assert loss(logits.requires_grad_(), masks).requires_grad
    assert not any(term.requires_grad for term in loss.terms.values())
