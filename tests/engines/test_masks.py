# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_semise.engines import PrepareMaskBatch, masks_from_logits, probabilities_from_logits, resize_linearly
from monai_semise.transforms import RandBatchAugment


def random_logits(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


# ---------------------------------------------------------------- masks from logits


def test_each_structure_by_itself():
    logits = random_logits(2, 3, 6, 5)
    masks = masks_from_logits(logits, (6, 5))
    assert masks.dtype == torch.float32
    assert torch.equal(masks.bool(), logits.sigmoid() > 0.5)


def test_one_structure_a_pixel():
    logits = random_logits(2, 4, 6, 5)
    masks = masks_from_logits(logits, (6, 5), exclusive=True)
    label = logits.argmax(dim=1)
    assert masks.shape == (2, 3, 6, 5)
    assert masks.dtype == torch.float32
    for k in (1, 2, 3):
        assert torch.equal(masks[:, k - 1].bool(), label == k)
    assert (label == 0).any()
    assert masks.sum(dim=1).max() == 1


@pytest.mark.parametrize("exclusive", [False, True])
def test_masks_are_where_probabilities_say(exclusive):
    logits = random_logits(2, 4, 6, 5)
    probability = probabilities_from_logits(logits, exclusive)
    masks = masks_from_logits(logits, (6, 5), exclusive).bool()
    assert probability.shape == masks.shape
    if exclusive:
        background = 1 - probability.sum(dim=1, keepdim=True)
        highest = torch.cat([background, probability], dim=1).argmax(dim=1, keepdim=True)
        assert torch.equal(masks, highest == torch.arange(1, 4).view(1, 3, 1, 1))
        assert torch.allclose(background, logits.softmax(dim=1)[:, :1])
    else:
        assert torch.equal(masks, probability > 0.5)


@pytest.mark.parametrize("size", [(12, 3), (6, 5), (5, 4, 9)])
def test_resizing_keeps_what_is_linear(size):
    """A ramp along each axis stays one, up to half a pixel from its ends."""
    dims = len(size)
    axes = [(torch.arange(8) + 0.5) / 8] * dims
    ramp = torch.stack(torch.meshgrid(*axes, indexing="ij"))[None].half()
    found = resize_linearly(MetaTensor(ramp), size)
    assert type(found) is torch.Tensor
    assert found.dtype == torch.float32
    expected = torch.stack(torch.meshgrid(*[(torch.arange(n) + 0.5) / n for n in size], indexing="ij"))
    assert torch.allclose(found[0], expected.clamp(1 / 16, 15 / 16), atol=2e-3)


@pytest.mark.parametrize("exclusive", [False, True])
def test_outline_is_finer_than_the_pixels_of_the_network(exclusive):
    """A disc, told by logits on 16 pixels, comes back on 100: closer than whole pixels could."""

    def distance(n):
        axis = (torch.arange(n) + 0.5) / n - 0.5
        return (axis[:, None] ** 2 + axis[None] ** 2).sqrt()

    logits = 40 * (0.3 - distance(16))[None, None]
    if exclusive:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    truth = distance(100) < 0.3
    found = masks_from_logits(logits, (100, 100), exclusive)[0, 0].bool()
    coarse = (distance(16) < 0.3).repeat_interleave(7, 0).repeat_interleave(7, 1)[6:106, 6:106]
    wrong = float((found != truth).float().mean())
    assert wrong < 0.01
    assert wrong < 0.3 * float((coarse != truth).float().mean())


@pytest.mark.parametrize("size", [(7, 40), (5, 4)])
def test_size_in_2d(size):
    logits = torch.full((1, 2, 16, 16), -1.0)
    logits[:, 1, :8] = 1.0  # the first half of the first axis
    masks = masks_from_logits(logits, size)
    assert masks.shape == (1, 2, *size)
    assert not masks[:, 0].any()
    half = size[0] // 2
    assert masks[:, 1, :half].all()
    assert not masks[:, 1, -half:].any()


def test_size_in_3d():
    logits = random_logits(1, 2, 4, 4, 4)
    assert masks_from_logits(logits, (5, 9, 3)).shape == (1, 2, 5, 9, 3)
    assert masks_from_logits(logits, (5, 9, 3), exclusive=True).shape == (1, 1, 5, 9, 3)


def test_half_precision_and_metadata():
    masks = masks_from_logits(MetaTensor(random_logits(1, 1, 4, 4)).half(), (8, 8))
    assert type(masks) is torch.Tensor
    assert masks.dtype == torch.float32


# ---------------------------------------------------------------- batches


@pytest.fixture
def batch():
    image = torch.rand(4, 1, 24, 32, generator=torch.Generator().manual_seed(0))
    mask = torch.cat([image > 0.7, image < 0.1], dim=1).byte()
    return {"image": image, "mask": mask, "index": torch.arange(4)}


def test_without_augmentation(batch):
    images, masks = PrepareMaskBatch()(batch)
    assert torch.equal(images, batch["image"])
    assert torch.equal(masks, batch["mask"].float())
    assert masks.dtype == torch.float32


def test_sizes_may_differ(batch):
    batch["mask"] = torch.zeros(4, 2, 100, 90, dtype=torch.uint8)
    images, masks = PrepareMaskBatch()(batch)
    assert (images.shape, masks.shape) == ((4, 1, 24, 32), (4, 2, 100, 90))


def test_masks_move_with_their_images(batch):
    augment = RandBatchAugment(rotation=90.0, brightness=0, contrast=(1, 1), gamma=(1, 1), noise=0)
    torch.manual_seed(0)
    images, masks = PrepareMaskBatch(augment)(batch)
    torch.manual_seed(0)
    expected = augment.with_masks(batch["image"], batch["mask"])
    assert torch.equal(images, expected[0])
    assert torch.equal(masks, expected[1].float())
    assert not torch.equal(masks, batch["mask"].float())


def test_type_of_images(batch):
    images, masks = PrepareMaskBatch()(batch, device=torch.device("cpu"), dtype=torch.float64)
    assert (images.dtype, masks.dtype) == (torch.float64, torch.float32)
