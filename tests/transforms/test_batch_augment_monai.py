# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Each operation against MONAI's: the same image for the same parameters, the same distribution of parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai import transforms as mt
from scipy import stats

from monai_semise.transforms.random_affine import random_affine
from tests.transforms.test_batch_augment import only

LENIENT = 1e-3  # p-value under which two samples are held to differ
SHAPES = {2: (32, 48), 3: (12, 20, 16)}
THIRTY = math.radians(30)
AFFINE = {"padding_mode": "reflection", "image_only": True, "align_corners": False}


@pytest.fixture(params=[2, 3], ids=["2D", "3D"])
def image(request):
    """Two channels that span 0 to 1."""
    values = torch.rand(2, *SHAPES[request.param], generator=torch.Generator().manual_seed(0))
    values.view(-1)[:2] = torch.tensor([0.0, 1.0])
    return values


def same(image, augment, transform, margin=0):
    """Largest difference, but for a margin along the edges, in pixels; a transform that does nothing is no proof."""
    inside = (slice(None), *[slice(margin, n - margin) for n in image.shape[1:]])
    ours, theirs = augment(image[None])[0][inside], torch.as_tensor(transform(image))[inside]
    assert (theirs - image[inside]).abs().max() > 0.05
    return float((ours - theirs).abs().max())


# ---------------------------------------------------------------- the same image


def test_rotation(image, force):
    force(1.0)
    angles = -THIRTY if image.ndim == 3 else (-THIRTY, THIRTY, -THIRTY)
    assert same(image, only(rotation=30.0), mt.Affine(rotate_params=angles, **AFFINE)) < 1e-4


def test_zoom(image):
    transform = mt.Zoom(1.5, mode="bilinear" if image.ndim == 3 else "trilinear", align_corners=False)
    assert same(image, only(zoom=(1.5, 1.5)), transform) < 1e-4


@pytest.mark.parametrize("zoom", [0.8, 1.25])
def test_zoom_is_the_reciprocal_of_affine_scale(image, zoom):
    transform = mt.Affine(scale_params=[1 / zoom] * (image.ndim - 1), **AFFINE)
    assert same(image, only(zoom=(zoom, zoom)), transform) < 1e-4


@pytest.mark.parametrize(("draw", "sign"), [(0.0, -1), (1.0, 1)])
def test_shift(image, force, draw, sign):
    force(draw)
    pixels = [sign * 0.1 * n for n in image.shape[1:]]
    assert same(image, only(shift=0.1), mt.Affine(translate_params=pixels, **AFFINE)) < 1e-4


def test_flip(image, force):
    force(0.0)
    assert same(image, only(flip_axes=(1,)), mt.Flip(1)) < 1e-5


def test_brightness(image, force):
    force(1.0)
    clipped = mt.Compose([mt.ShiftIntensity(0.2), lambda shifted: shifted.clamp(0, 1)])
    assert same(image, only(brightness=0.2), clipped) < 1e-6


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_contrast(image, factor):
    clipped = mt.Compose([mt.ScaleIntensityFixedMean(factor - 1), lambda scaled: scaled.clamp(0, 1)])
    assert same(image, only(contrast=(factor, factor)), clipped) < 1e-5


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gamma(image, gamma):
    assert same(image, only(gamma=(gamma, gamma)), mt.AdjustContrast(gamma)) < 1e-3 * gamma


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_blur(image, sigma):
    """Farther from the edge than the kernel reaches; MONAI's weights sum to a little less than 1."""
    assert same(image, only(blur=(sigma, sigma)), mt.GaussianSmooth(sigma), margin=math.ceil(4 * sigma)) < 2e-4


@pytest.mark.parametrize(("draw", "place"), [(0.0, 0), (0.5, 1), (1.0, 2)])
def test_crop(image, force, draw, place):
    """Half of each side, in one corner, the middle, the other corner."""
    shape = image.shape[1:]
    start = [place * n // 4 for n in shape]
    crop = mt.SpatialCrop(roi_start=start, roi_end=[s + n // 2 for s, n in zip(start, shape)])
    resize = mt.Resize(shape, mode="bilinear" if image.ndim == 3 else "trilinear", align_corners=False)
    force(draw)
    share = 0.5 ** len(shape)
    augment = only(crop=(share, share), aspect=(1.0, 1.0))
    assert same(image, augment, mt.Compose([crop, resize]), margin=1) < 1e-4


def test_noise(force):
    grey = torch.full((1, 100, 100), 0.5)
    theirs = mt.RandGaussianNoise(prob=1.0, std=0.05, sample_std=False).set_random_state(0)(grey)
    torch.manual_seed(0)
    force(1.0)
    ours = only(noise=0.05)(grey[None])
    assert stats.ks_2samp(ours.flatten(), np.asarray(theirs).ravel()).pvalue > LENIENT


# ---------------------------------------------------------------- the same distribution of parameters


def drawn(transform, field, n=400):
    """What a random transform of MONAI draws."""
    transform.set_random_state(0)
    values = []
    for _ in range(n):
        transform.randomize(torch.zeros(1, 8, 8))
        values.append(getattr(transform, field))
    return np.asarray(values, dtype=float).reshape(n, -1)[:, 0]


def thetas(**kwargs):
    """Matrices of 1000 square images."""
    torch.manual_seed(0)
    identity = {"rotation": 0.0, "zoom": (1.0, 1.0), "shift": 0.0, "flip_axes": ()}
    return random_affine(torch.empty(1000, 1, 64, 64), **{**identity, **kwargs})


def results(image, **kwargs):
    """1000 augmentations of an image of shape (H, W)."""
    torch.manual_seed(0)
    return only(**kwargs)(torch.as_tensor(image).expand(1000, 1, -1, -1))


def p_value(ours, theirs):
    return stats.ks_2samp(np.asarray(ours), theirs).pvalue


def test_rotation_draws():
    theta = thetas(rotation=20.0)
    angles = torch.atan2(theta[:, 1, 0], theta[:, 0, 0])
    assert p_value(angles, drawn(mt.RandRotate(math.radians(20), prob=1.0), "x")) > LENIENT


def test_zoom_draws():
    theirs = drawn(mt.RandZoom(prob=1.0, min_zoom=0.7, max_zoom=1.3), "_zoom")
    assert p_value(1 / thetas(zoom=(0.7, 1.3))[:, 0, 0], theirs) > LENIENT


def test_shift_draws():
    theirs = drawn(mt.RandAffineGrid(translate_range=6.4), "translate_params")
    assert p_value(32 * thetas(shift=0.1)[:, 1, 2], theirs) > LENIENT


@pytest.mark.parametrize("axis", [0, 1])
def test_flip_draws(axis):
    flipped = thetas(flip_axes=(axis,))[:, 1 - axis, 1 - axis] < 0
    theirs = drawn(mt.RandFlip(prob=0.5), "_do_transform")
    table = [[int(flipped.sum()), 1000 - int(flipped.sum())], [theirs.sum(), len(theirs) - theirs.sum()]]
    assert stats.chi2_contingency(table).pvalue > LENIENT


def test_brightness_draws():
    change = results([[0.5]], brightness=0.1).flatten() - 0.5
    assert p_value(change, drawn(mt.RandShiftIntensity(0.1, prob=1.0), "_offset")) > LENIENT


def test_contrast_draws():
    factor = results([[0.4, 0.6]], contrast=(0.5, 2.0)).flatten(1).diff().flatten() / 0.2
    theirs = 1 + drawn(mt.RandScaleIntensityFixedMean(prob=1.0, factors=(-0.5, 1.0)), "factor")
    assert p_value(factor, theirs) > LENIENT


def test_gamma_draws():
    """On a log scale, where brighter and darker are equally frequent; MONAI's exponent is uniform itself."""
    exponent = np.log(results([[0.5]], gamma=(0.5, 2.0)).flatten()) / np.log(0.5)
    assert stats.kstest(exponent, stats.loguniform(0.5, 2.0).cdf).pvalue > LENIENT
    assert p_value(exponent, drawn(mt.RandAdjustContrast(prob=1.0, gamma=(0.5, 2.0)), "gamma_value")) < LENIENT


def test_noise_draws():
    deviation = results(torch.full((20, 20), 0.5), noise=0.1).flatten(1).std(dim=1)
    transform = mt.RandGaussianNoise(prob=1.0, std=0.1)
    transform.set_random_state(0)
    grey = np.full((1, 20, 20), 0.5, dtype=np.float32)
    theirs = [float(torch.as_tensor(transform(grey)).std()) for _ in range(400)]
    assert p_value(deviation, theirs) > LENIENT


def test_blur_draws():
    """From the spread of a blurred point, which is that of the Gaussian and of a pixel."""
    point = torch.zeros(21, 21)
    point[10, 10] = 1
    profile = results(point, blur=(0.7, 1.5)).sum(dim=(1, 2))
    sigma = (profile @ (torch.arange(21.0) - 10) ** 2 - 1 / 12).sqrt()
    assert p_value(sigma, drawn(mt.RandGaussianSmooth((0.7, 1.5), prob=1.0), "x")) > LENIENT
