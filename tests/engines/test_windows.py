# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.engines import PrepareMaskBatch, random_windows


def numbered(n, *spatial):
    """Images whose pixels tell where they are, and a mask of one pixel, the last."""
    pixels = torch.arange(spatial[0] * spatial[1] * (spatial[2] if len(spatial) > 2 else 1)).view(1, 1, *spatial)
    images = pixels.float().expand(n, 1, *spatial)
    return images, (images == images.max()).float()


@pytest.mark.parametrize("spatial", [(12, 9), (6, 9, 7)])
def test_windows_are_cut_from_images_and_masks_alike(spatial):
    images, masks = numbered(40, *spatial)
    size = [4, 5, 3][: len(spatial)]
    torch.manual_seed(0)
    windows, cut = random_windows(images, masks, size)
    assert windows.shape == cut.shape == (40, 1, *size)
    assert torch.equal(cut, (windows == images.max()).float())
    corners = windows.flatten(1)[:, 0].long()
    rows = corners // int(torch.tensor(spatial[1:]).prod())
    assert int(rows.min()) == 0
    assert int(rows.max()) == spatial[0] - size[0]
    for n in range(40):
        start = [int(i) for i in torch.unravel_index(corners[n], spatial)]
        assert torch.equal(windows[n], images[n][(slice(None), *(slice(s, s + z) for s, z in zip(start, size)))])


def test_half_of_the_windows_hold_a_pixel_of_a_mask():
    images, masks = numbered(300, 40, 40)
    torch.manual_seed(0)
    _, cut = random_windows(images, masks, (8, 8))
    assert 120 < int(cut.flatten(1).any(dim=1).sum()) < 180  # elsewhere, less than one


def test_the_pixel_may_lie_anywhere_in_its_window():
    images = torch.zeros(400, 1, 41, 41)
    masks = torch.zeros_like(images)
    masks[:, :, 20, 20] = 1
    torch.manual_seed(0)
    _, cut = random_windows(images, masks, (8, 8))
    assert (cut.sum(dim=(0, 1)) > 0).float().mean() > 0.9


def test_empty_masks_and_whole_images():
    images = torch.rand(3, 2, 8, 6)
    masks = torch.zeros(3, 1, 8, 6)
    windows, cut = random_windows(images, masks, (8, 6))
    assert torch.equal(windows, images)
    assert torch.equal(cut, masks)


def test_manual_seed_repeats():
    images, masks = numbered(5, 20, 20)
    draws = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        draws.append(random_windows(images, masks, (6, 6))[0])
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("size", [(9, 4), (4, 7), (4, 4, 4), (4,)])
def test_window_that_does_not_fit(size):
    with pytest.raises(ValueError, match=r"a window of .* does not fit into images of \(8, 6\)"):
        random_windows(torch.rand(1, 1, 8, 6), torch.rand(1, 1, 8, 6), size)


def test_in_a_batch():
    images, masks = numbered(4, 20, 20)
    torch.manual_seed(0)
    windows, cut = PrepareMaskBatch(window=(6, 5))({"image": images, "mask": masks.byte()})
    torch.manual_seed(0)
    expected = random_windows(images, masks, (6, 5))
    assert torch.equal(windows, expected[0])
    assert torch.equal(cut, expected[1])
