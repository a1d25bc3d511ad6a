# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose, Flip, SpatialCrop

from monai_semise.engines import InputGeometry


def view_of(image, flips, corner, extent):
    """Flipped and cropped by MONAI, which keeps the affine."""
    steps = [Flip(spatial_axis=axis) for axis in flips]
    crop = SpatialCrop(roi_start=corner, roi_end=[a + b for a, b in zip(corner, extent)])
    return Compose([*steps, crop])(MetaTensor(image, affine=torch.eye(4)))


@given(data=st.data(), dims=st.integers(2, 3))
def test_a_view_goes_back_to_where_it_came_from(data, dims):
    size = data.draw(st.lists(st.integers(1, 7), min_size=dims, max_size=dims))
    corner = [data.draw(st.integers(0, length - 1)) for length in size]
    extent = [data.draw(st.integers(1, length - first)) for length, first in zip(size, corner)]
    flips = data.draw(st.lists(st.integers(0, dims - 1), unique=True))
    image = torch.arange(1, 1 + torch.tensor(size).prod()).reshape(1, *size).repeat(2, *[1] * dims)
    view = view_of(image, flips, corner, extent)
    geometry = InputGeometry.of_view(size, torch.eye(4), None, view.shape[1:], view.affine)
    assert geometry.seen_size == tuple(extent)
    assert set(geometry.flipped) == set(flips)
    back = geometry.restore(view.as_tensor())
    assert back.shape == image.shape
    assert back.dtype == image.dtype
    shown = back != 0
    assert int(shown[0].sum()) == view[0].numel()
    assert torch.equal(back[shown], image[shown])


@pytest.mark.parametrize("spacing", [None, (0.1, 2.5)])
def test_text(spacing):
    affine = torch.tensor([[0.1, 0.2, 0, -7.123456789], [0, 1 / 3, 0, 1e-9], [0, 0, 1, 0], [0, 0, 0, 1]])
    geometry = InputGeometry((5, 4), tuple(map(tuple, affine.tolist())), spacing, ((1, 5), (0, 4)), (1,))
    assert InputGeometry.from_text(geometry.to_text()) == geometry


def test_size_of_a_pixel():
    affine = tuple(map(tuple, torch.eye(4).tolist()))
    assert InputGeometry((5, 4), affine, None, ((0, 5), (0, 4))).pixel_size is None
    assert InputGeometry((5, 4, 3), affine, (0.5, 2, 3), ((0, 5), (0, 4), (0, 3))).pixel_size == 3
