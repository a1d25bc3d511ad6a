# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from monai_semise.networks import SemiseNet, SeverityClassifier
from monai_semise.utils import InputError
from monai_semise.visualize import OUTLINES, overlay_png, severity_heat_maps


class Corner(nn.Module):
    """A network that looks at one corner of an image alone."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential()
        self.encoder.add_module("layer1", nn.Sequential(nn.AvgPool2d(4), nn.Conv2d(1, 1, 1)))
        nn.init.ones_(self.encoder.layer1[1].weight)
        nn.init.zeros_(self.encoder.layer1[1].bias)

    def score(self, image):
        return self.encoder(image)[:, 0, 0:2, 2:4].sum(dim=(1, 2))


def test_the_map_is_hot_where_the_score_comes_from():
    image = torch.zeros(2, 1, 32, 32)
    image[0, 0, 0:8, 8:16] = 1
    image[1, 0, 0:8, 8:16] = 0.2
    image[:, 0, 20:, 20:] = 0.05
    heat = severity_heat_maps(Corner(), image)
    assert heat.shape == (2, 32, 32)
    assert heat.amax(dim=(1, 2)).tolist() == [1, 1]
    assert heat[0, 2:6, 10:14].min() > 0.5
    assert heat[0, 16:, :16].max() == 0


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize(("dims", "size"), [(2, 64), (3, 32), (2, 224)])
def test_networks_of_ours(dims, size, frozen):
    network = SeverityClassifier(3, "resnet10", spatial_dims=dims, freeze=frozen).train()
    image = torch.rand(1, 1, *[size] * dims)
    heat = severity_heat_maps(network, image)
    assert heat.shape == image[:, 0].shape
    assert network.training
    assert 0 <= float(heat.min()) <= float(heat.max()) <= 1


def test_works_where_gradients_are_off():
    network = SemiseNet("resnet10", embedding_dim=8)
    network.set_healthy_reference(torch.ones(8))
    with torch.no_grad():
        assert severity_heat_maps(network, torch.rand(1, 1, 64, 64)).isfinite().all()


def test_other_encoders_are_refused():
    with pytest.raises(InputError, match="not a ResNet"):
        severity_heat_maps(SemiseNet("efficientnet-b0", embedding_dim=8), torch.rand(1, 1, 32, 32))


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_the_first_axis_of_an_image_runs_along_a_row_of_its_picture():
    image = torch.zeros(1, 64, 32)
    image[0, 48:, :] = 1
    picture = pixels(overlay_png(image, size=64))
    assert picture.shape == (32, 64, 3)
    assert (picture[:, 50:] == 255).all()
    assert (picture[:, :40] == 0).all()


def test_heat_colors_the_picture_where_it_is():
    heat = torch.zeros(32, 32)
    heat[:8, 20:] = 1
    picture = pixels(overlay_png(torch.full((1, 32, 32), 0.5), heat, size=32))
    assert (picture[:18] == 128).all()
    red, _, blue = picture[25, 3]
    assert red > blue + 20
    assert (picture[25, 12:] == 128).all()


def test_the_slice_with_the_most_heat_is_shown():
    image, heat = torch.zeros(1, 16, 16, 5), torch.zeros(16, 16, 5)
    image[..., 3], heat[..., 3] = 1, 0.01
    assert pixels(overlay_png(image, heat)).mean() > 200
    assert pixels(overlay_png(image)).max() == 0


def test_color_stays_color():
    image = torch.zeros(3, 8, 8)
    image[1] = 1
    assert (pixels(overlay_png(image, size=8)) == [0, 255, 0]).all()


def colour(name):
    return [int(name[n : n + 2], 16) for n in (1, 3, 5)]


def test_masks_are_outlined_where_they_are():
    masks = torch.zeros(2, 40, 30)
    masks[0, 5:20, 3:10] = 1
    masks[1, 30:, 20:] = 1
    picture = pixels(overlay_png(torch.full((1, 40, 30), 0.5), size=80, masks=masks))
    first, second = (np.argwhere((picture == colour(OUTLINES[n])).all(axis=-1)) for n in (0, 1))
    assert (first.min(axis=0).tolist(), first.max(axis=0).tolist()) == ([6, 10], [19, 39])
    assert (second.min(axis=0).tolist(), second.max(axis=0).tolist()) == ([40, 60], [59, 79])
    assert (picture[8:18, 12:38] == 128).all()  # inside, the image stays as it is
    assert len(first) == 14 * 30 - 10 * 26


def test_outlines_are_of_the_slice_that_is_shown():
    heat, masks = torch.zeros(16, 16, 5), torch.zeros(1, 16, 16, 5)
    heat[4:8, 4:8, 3] = 1
    masks[0, 2:6, 2:6, 1] = 1
    assert not (pixels(overlay_png(torch.zeros(1, 16, 16, 5), heat, masks=masks)) == colour(OUTLINES[0])).all(-1).any()
    masks[0, 2:6, 2:6, 3] = 1
    assert (pixels(overlay_png(torch.zeros(1, 16, 16, 5), heat, masks=masks)) == colour(OUTLINES[0])).all(-1).any()
