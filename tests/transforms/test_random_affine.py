# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from monai_semise.transforms.random_affine import random_affine, random_crop, sampling_grid

LENIENT = 1e-3  # p-value under which a sample is held not to follow a distribution


def crops(dims, crop, aspect, n=1000):
    """Sides, shape (n, dims), the last axis first, and centers of random crops."""
    torch.manual_seed(0)
    theta = random_crop(torch.eye(dims, dims + 1).expand(n, -1, -1), crop, aspect)
    return theta[:, range(dims), range(dims)], theta[..., -1]


@pytest.mark.parametrize("shape", [(7, 12), (5, 8, 6), (1, 9)])
def test_grid_is_torchs(shape):
    theta = torch.randn(4, len(shape), len(shape) + 1)
    expected = F.affine_grid(theta, [4, 1, *shape], align_corners=False)
    assert torch.allclose(sampling_grid(theta, shape), expected, atol=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_share_and_aspect_of_a_crop(dims):
    sides, _ = crops(dims, (0.1, 0.4), (0.8, 1.1))
    assert sides.max() < 1
    assert stats.kstest(sides.prod(dim=1), stats.uniform(0.1, 0.3).cdf).pvalue > LENIENT
    for axis in range(dims - 1):
        ratio = sides[:, axis + 1] / sides[:, axis]
        assert stats.kstest(ratio, stats.loguniform(0.8, 1.1).cdf).pvalue > LENIENT


@pytest.mark.parametrize("dims", [2, 3])
def test_crop_lies_anywhere_within_the_image(dims):
    sides, centre = crops(dims, (0.3, 0.9), (0.5, 2.0))
    assert sides.max() == 1
    assert (centre.abs() + sides <= 1 + 1e-6).all()
    inner = sides < 1
    place = (centre / (1 - sides))[inner]
    assert stats.kstest(place, stats.uniform(-1, 2).cdf).pvalue > LENIENT


def test_crop_of_everything_changes_nothing():
    theta = random_affine(torch.empty(5, 1, 8, 9), 30.0, (0.5, 2.0), 0.2, (0,))
    assert torch.allclose(random_crop(theta, (1.0, 1.0), (1.0, 1.0)), theta)


def test_crop_comes_before_all_else():
    """What was drawn happens in the crop's own frame: each place of the whole goes to the same place of the crop."""
    whole = random_affine(torch.empty(6, 1, 8, 8), 30.0, (0.5, 2.0), 0.2, (0, 1))
    torch.manual_seed(0)
    frame = random_crop(torch.eye(2, 3).expand(6, 2, 3), (0.2, 0.6), (0.5, 2.0))
    torch.manual_seed(0)
    both = random_crop(whole, (0.2, 0.6), (0.5, 2.0))
    last = torch.tensor([0.0, 0.0, 1.0]).expand(6, 1, 3)
    assert torch.allclose(both, frame @ torch.cat([whole, last], dim=1), atol=1e-6)
