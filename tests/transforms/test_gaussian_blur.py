# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_semise.transforms.gaussian_blur import gaussian_blur


@pytest.mark.parametrize("shape", [(17, 24), (9, 14, 11), (3, 2)])
def test_agrees_with_scipy(shape):
    """Which samples the Gaussian where it is integrated here: on smooth images nearly the same, to the very edge."""
    sigma = torch.tensor([1.5, 2.0])
    images = torch.rand(2, 3, *shape)
    result = gaussian_blur(images, sigma, 2.0)
    for image, blurred, s in zip(images.numpy(), result.numpy(), sigma.tolist()):
        for channel, ours in zip(image, blurred):
            spread = (s**2 + 1 / 12) ** 0.5
            expected = ndimage.gaussian_filter(channel, spread, mode="nearest", truncate=6.0)
            assert np.abs(ours - expected).max() < 2e-3


def test_zero_leaves_an_image_as_it_is():
    images = torch.rand(2, 1, 9, 9)
    result = gaussian_blur(images, torch.tensor([0.0, 1.0]), 1.0)
    assert torch.equal(result[0], images[0])
    assert not torch.allclose(result[1], images[1], atol=0.01)


def test_kernel_size_does_not_change_the_result():
    images = torch.rand(1, 2, 15, 16)
    small, large = (gaussian_blur(images, torch.tensor([0.7]), largest) for largest in (0.7, 2.0))
    assert torch.allclose(small, large, atol=2e-4)
