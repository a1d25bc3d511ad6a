# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools

import pytest
import torch
from monai.metrics import compute_dice

from monai_semise.metrics import best_constant_mask
from monai_semise.utils import InputError


def mean_dice(candidate, masks):
    """Per structure, over the masks that show it, by MONAI."""
    return compute_dice(candidate.expand(len(masks), *candidate.shape), torch.stack(masks).float()).nanmean(dim=0)


def discs(n=12, size=12, structures=1):
    """Discs whose centres scatter about the middle."""
    random = torch.Generator().manual_seed(0)
    grid = torch.stack(torch.meshgrid(*[torch.arange(size).float()] * 2, indexing="ij"))
    centres = size / 2 + torch.randn(n, structures, 2, generator=random)
    return [
        torch.stack([((grid - at[:, None, None]).norm(dim=0) < 3 + s).byte() for s, at in enumerate(row)])
        for row in centres
    ]


def test_best_of_all_masks_that_follow_the_frequency():
    masks = discs()
    best = best_constant_mask(masks)
    frequency = torch.stack(masks).float().mean(dim=0)
    candidates = [(frequency >= level).float() for level in frequency.unique() if level > 0]
    highest = max(float(mean_dice(candidate, masks)) for candidate in candidates)
    assert float(mean_dice(best, masks)) == pytest.approx(highest, abs=0.005)


def test_best_of_all_masks_whatsoever():
    masks = [torch.tensor(bits).view(1, 2, 3) for bits in ([0, 1, 1, 0, 1, 0], [0, 1, 1, 1, 0, 0], [0, 0, 1, 0, 1, 1])]
    every = [torch.tensor(bits).view(1, 2, 3).float() for bits in itertools.product((0, 1), repeat=6)]
    highest = max(float(mean_dice(mask, masks).nan_to_num()) for mask in every)
    assert float(mean_dice(best_constant_mask(masks), masks)) == pytest.approx(highest)


def test_each_structure_by_itself():
    masks = discs(structures=2)
    together = best_constant_mask(masks)
    assert together.shape == (2, 12, 12)
    for s in (0, 1):
        alone = best_constant_mask([mask[s : s + 1] for mask in masks])
        assert torch.equal(together[s : s + 1], alone)
    assert together[1].sum() > together[0].sum() > 0


def test_images_that_do_not_show_it_change_nothing():
    masks = discs()
    assert torch.equal(best_constant_mask(masks), best_constant_mask([*masks, *[torch.zeros_like(masks[0])] * 400]))


def test_structure_that_nobody_shows():
    assert not best_constant_mask([torch.zeros(1, 4, 4)]).any()


def test_volumes():
    mask = torch.zeros(1, 3, 4, 5)
    mask[:, 1] = 1
    assert torch.equal(best_constant_mask([mask, mask]), mask)


def test_nothing():
    with pytest.raises(InputError, match="no training mask"):
        best_constant_mask([])
