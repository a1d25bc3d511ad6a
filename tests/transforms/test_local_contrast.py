# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter

from monai_semise.transforms import LocalContrast, LocalContrastd


def framed(shape, channels=2, seed=0):
    """An image with a dark frame, and where it is not dark."""
    image = np.random.default_rng(seed).uniform(0.1, 0.9, (channels, *shape)).astype(np.float32)
    inside = np.zeros(shape, dtype=bool)
    inside[tuple(slice(n // 5, -n // 5) for n in shape)] = True
    return image * inside, inside


@pytest.mark.parametrize("shape", [(40,), (40, 33), (24, 20, 28)])
def test_equals_scipy(shape):
    image, inside = framed(shape)
    sigma = 0.08 * min(shape)
    weight = gaussian_filter(inside.astype(float), sigma, mode="constant", truncate=4)
    expected = np.full(image.shape, 0.5)
    for channel, values in enumerate(image):
        average = gaussian_filter(values.astype(float), sigma, mode="constant", truncate=4) / np.maximum(weight, 1e-3)
        expected[channel] = np.where(inside, 0.5 + 1.5 * (values - average), 0.5)
    found = LocalContrast(radius=0.08, gain=1.5)(torch.from_numpy(image))
    assert found.dtype == torch.float32
    # MONAI integrates the Gaussian over each pixel, SciPy takes its value in the middle
    assert np.abs(found.numpy() - expected.clip(0, 1)).max() < 0.02
    assert (found.numpy() != 0.5).mean() > 0.1


def test_the_frame_leaves_no_rim():
    image = torch.zeros(1, 60, 60)
    image[:, 10:50, 10:50] = 0.7
    assert torch.allclose(LocalContrast()(image), torch.full((1, 60, 60), 0.5), atol=1e-4)


def test_illumination_is_evened_out():
    x = torch.linspace(0.2, 0.8, 90).expand(1, 90, 90)
    inner = LocalContrast()(x)[:, 20:-20, 20:-20]
    assert (inner - 0.5).abs().max() < 0.01


def test_values_stay_within_the_range_and_the_input_as_it_was():
    image, _ = framed((32, 32))
    before = torch.from_numpy(image.copy())
    given = before.clone()
    found = LocalContrast(gain=50)(given)
    assert found.min() == 0
    assert found.max() == 1
    assert torch.equal(given, before)


def test_an_image_of_one_value():
    assert torch.equal(LocalContrast()(torch.zeros(1, 8, 8)), torch.full((1, 8, 8), 0.5))


def test_geometry_is_kept_and_the_dictionary_form_equals_it():
    image = MetaTensor(torch.rand(1, 16, 16), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0])))
    found = LocalContrastd("image", radius=0.1, gain=2.0, frame=0.2)({"image": image, "severity": 1})
    assert found["severity"] == 1
    assert torch.equal(found["image"].affine, image.affine)
    assert torch.equal(found["image"], LocalContrast(radius=0.1, gain=2.0, frame=0.2)(image))
    with pytest.raises(KeyError):
        LocalContrastd("image")({})
    assert LocalContrastd("image", allow_missing_keys=True)({}) == {}


@pytest.mark.parametrize("arguments", [{"radius": 0}, {"gain": -1}])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="must be positive"):
        LocalContrast(**arguments)
