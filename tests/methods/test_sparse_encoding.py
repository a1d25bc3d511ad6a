# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from monai_semise.methods.image_patches import draw_masked, spread_to_pixels
from monai_semise.methods.sparse_encoding import encode_visible, visible_pyramid
from monai_semise.networks import build_encoder

DIVIDING, FINE, ODD = (64, 32), (64, 8), (44, 11)
"""Image and patch: one cell of the last feature map, a part of it, and an image that no stride divides."""


def masked_images(size=64, patch=32, spatial_dims=2, seed=0):
    torch.manual_seed(seed)
    grid = [size // patch] * spatial_dims
    visible = ~spread_to_pixels(draw_masked(3, grid, size // patch + 1, torch.device("cpu")), patch)
    return torch.rand(3, 1, *[size] * spatial_dims), visible, visible_pyramid(visible, 5)


def encoder_of(backbone="resnet10", spatial_dims=2):
    torch.manual_seed(1)
    return build_encoder(backbone, spatial_dims)[0].train()


def slow(encoder, image, pyramid):
    """SparK, layer by layer: after each operation, everything is multiplied by the mask of its scale."""

    def mask(x):
        (of_scale,) = {m for m in pyramid if m.shape[2:] == x.shape[2:]}
        return of_scale.to(x.dtype)

    def normalize(x, norm):
        m = mask(x)
        mean = (x * m).sum(dim=(0, 2, 3), keepdim=True) / m.sum()
        variance = ((x - mean) ** 2 * m).sum(dim=(0, 2, 3), keepdim=True) / m.sum()
        scaled = (x - mean) / (variance + norm.eps).sqrt()
        return (scaled * norm.weight[:, None, None] + norm.bias[:, None, None]) * m

    def step(x, convolution, norm):
        x = convolution(x)
        return normalize(x * mask(x), norm)

    x = F.relu(step(image * mask(image), encoder.conv1, encoder.bn1))
    maps = [x]
    x = F.max_pool2d(x, 3, 2, 1)
    x = x * mask(x)
    for layer in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
        for block in layer:
            shortcut = x if block.downsample is None else step(x, *block.downsample)
            x = step(F.relu(step(x, block.conv1, block.bn1)), block.conv2, block.bn2)
            x = F.relu(x + shortcut)
        maps.append(x)
    return maps


@pytest.mark.parametrize(("size", "patch"), [DIVIDING, FINE, ODD])
def test_equals_masking_after_every_layer(size, patch):
    image, _, pyramid = masked_images(size, patch)
    encoder = encoder_of().double()
    image = image.double()
    for ours, theirs in zip(encode_visible(encoder, image, pyramid), slow(encoder, image, pyramid)):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("backbone", ["resnet10", "resnet18", "resnet50"])
def test_nothing_of_a_hidden_pixel_is_in_a_feature_or_a_statistic(backbone):
    image, visible, pyramid = masked_images()
    other = torch.where(visible, image, torch.full_like(image, torch.nan))
    encoders = [encoder_of(backbone) for _ in range(2)]
    maps = [encode_visible(encoder, pixels, pyramid) for encoder, pixels in zip(encoders, (image, other))]
    assert all(torch.equal(first, second) for first, second in zip(*maps))
    states = [encoder.state_dict() for encoder in encoders]
    assert [name for name in states[0] if not torch.equal(states[0][name], states[1][name])] == []
    assert all((features.abs().amax(dim=1, keepdim=True) > 0).le(m).all() for features, m in zip(maps[0], pyramid[1:]))


def test_statistics_are_those_of_the_visible_positions():
    image, visible, pyramid = masked_images()
    encoder = encoder_of()
    encode_visible(encoder, image, pyramid)
    seen = encoder.conv1(image * visible).movedim(1, -1)[pyramid[1][:, 0]]
    torch.testing.assert_close(encoder.bn1.running_mean, 0.1 * seen.mean(dim=0))
    torch.testing.assert_close(encoder.bn1.running_var, 0.9 + 0.1 * seen.var(dim=0))


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_an_image_without_holes_is_encoded_as_ever_before_and_after(spatial_dims):
    image, visible, pyramid = masked_images(32, 16, spatial_dims)
    encoder, image = encoder_of(spatial_dims=spatial_dims).double(), image.double()
    names = list(encoder.state_dict())
    plain = encoder(image)
    whole = encode_visible(encoder, image, visible_pyramid(torch.ones_like(visible), 5))
    encode_visible(encoder, image, pyramid)
    for first, second, third in zip(plain, whole, encoder(image)):
        torch.testing.assert_close(first, second)
        assert torch.equal(first, third)
    assert list(encoder.state_dict()) == names


def test_a_cell_is_empty_when_all_under_it_is():
    visible = torch.zeros(1, 1, 5, 5, dtype=torch.bool)
    visible[..., 4, 1] = True
    halves = [scale[0, 0].nonzero().tolist() for scale in visible_pyramid(visible, 3)]
    assert halves == [[[4, 1]], [[2, 0]], [[1, 0]], [[0, 0]]]
