# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from monai_semise.methods.image_patches import (
    choose_patch_size,
    draw_masked,
    patch_grid,
    split_patches,
    spread_to_pixels,
)
from monai_semise.utils import InputError
from tests.losses.reference import random


@pytest.mark.parametrize(
    ("image_size", "patch_size"),
    [([16, 16], 4), ([32, 32], 8), ([96, 96, 24], 6), ([120, 120], 30), ([256, 192], 32), ([450, 200], 25)],
)
def test_default_patch_is_the_largest_that_leaves_four_along_each_axis(image_size, patch_size):
    assert choose_patch_size(image_size) == patch_size


@pytest.mark.parametrize("image_size", [[211, 211], [12, 12], [64, 50]])
def test_image_without_such_a_patch_is_refused(image_size):
    with pytest.raises(InputError, match=rf"image_size: .*\[{image_size[0]}, .* --patch_size"):
        choose_patch_size(image_size)


@pytest.mark.parametrize("patch_size", [0, 12])
def test_patches_that_do_not_tile_the_image_are_refused(patch_size):
    with pytest.raises(InputError, match=rf"patch_size: patches of {patch_size} pixels do not tile .*\[24, 32\]"):
        patch_grid([24, 32], patch_size)


def test_each_image_hides_as_many_patches_and_others():
    masked = draw_masked(400, (2, 3), 2, torch.device("cpu")).flatten(1)
    assert (masked.sum(dim=1) == 2).all()
    assert ((masked.float().mean(dim=0) - 1 / 3).abs() < 0.12).all()  # five standard deviations
    assert len(masked.unique(dim=0)) == 15  # every pair of six patches


def test_masks_are_those_of_the_seed():
    masks = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        masks.append(draw_masked(5, (4, 4), 8, torch.device("cpu")))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_patches_are_those_of_unfold():
    image = random(2, 3, 8, 12)
    torch.testing.assert_close(split_patches(image, 4), F.unfold(image, 4, stride=4).transpose(1, 2))


def test_patches_of_a_volume():
    volume = random(2, 3, 4, 6, 2)
    patches = split_patches(volume, 2)
    assert patches.shape == (2, 2 * 3 * 1, 3 * 8)
    torch.testing.assert_close(patches[1, 5], volume[1, :, 2:4, 4:6, 0:2].flatten())


@pytest.mark.parametrize("grid", [(2, 3), (3, 1, 2)])
def test_each_pixel_has_the_value_of_its_patch(grid):
    patches = random(2, *grid)
    pixels = spread_to_pixels(patches, 4)
    assert pixels.shape == (2, 1, *(4 * n for n in grid))
    split = split_patches(pixels, 4)
    torch.testing.assert_close(split, patches.flatten(1)[..., None].expand_as(split))
