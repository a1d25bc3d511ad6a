# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_semise.transforms import RandBatchAugment
from tests.transforms.test_batch_augment import only

EVERYTHING = {"crop": (0.2, 1.0), "aspect": (0.5, 2.0), "blur": (0.0, 2.0), "noise": 0.2}
GEOMETRY = {"rotation": 180.0, "zoom": (0.5, 2.0), "shift": 0.5, "crop": (0.1, 1.0), "blur": (0.0, 3.0)}


@st.composite
def batches(draw):
    """Batches of 1 to 4 channels, 2D or 3D, odd sizes among them, in three precisions."""
    spatial = draw(st.lists(st.integers(1, 13), min_size=2, max_size=3))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 4)), *spatial)
    dtype = draw(st.sampled_from([torch.float32, torch.float16, torch.bfloat16]))
    return torch.rand(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))).to(dtype)


@settings(max_examples=60, deadline=None)
@given(images=batches(), seed=st.integers(0, 99))
def test_shape_type_range_and_precision(images, seed):
    torch.manual_seed(seed)
    result = RandBatchAugment(**EVERYTHING)(images)
    torch.manual_seed(seed)
    exact = RandBatchAugment(**EVERYTHING)(images.float())
    assert (result.shape, result.dtype) == (images.shape, images.dtype)
    assert 0 <= exact.min() <= exact.max() <= 1
    assert torch.equal(result, exact.to(images.dtype))


@settings(max_examples=60, deadline=None)
@given(images=batches(), seed=st.integers(0, 99))
def test_geometry_and_blur_stay_within_the_values_of_each_channel(images, seed):
    torch.manual_seed(seed)
    images = images.float()
    result = only(**GEOMETRY)(images).flatten(2)
    lowest, highest = images.flatten(2).aminmax(dim=2, keepdim=True)
    assert (result >= lowest - 1e-4).all()
    assert (result <= highest + 1e-4).all()


@pytest.mark.parametrize("spatial", [(17, 23), (7, 10, 9)])
def test_compiled_once_for_any_draws(spatial):
    """Whole and without recompilation, as shapes do not depend on what is drawn."""
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    images = torch.rand(5, 3, *spatial)
    augment = RandBatchAugment(**EVERYTHING)
    compiled = torch.compile(augment, backend=count, fullgraph=True, dynamic=False)
    for seed in range(3):
        torch.manual_seed(seed)
        expected = augment(images)
        torch.manual_seed(seed)
        assert torch.allclose(compiled(images), expected, atol=1e-6)
    assert len(graphs) == 1
