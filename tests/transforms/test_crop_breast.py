# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from scipy import ndimage

from monai_semise.transforms import CropBreast, CropBreastD, CropBreastd, CropBreastDict
from monai_semise.transforms.crop_breast import breast_outline

SHAPE, RADII, CENTER_Y = (200, 300), (120, 110), 160
"""Columns and rows of the image; of the breast, which is half an ellipse at the left border."""


def mammogram(noise=0.01, label=True, offset=0.0, scale=1.0):
    """A breast, thin and dark at its skin, on noise, with a label beside it; and the breast as a mask."""
    random = np.random.default_rng(0)
    x, y = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    depth = 1 - (x / RADII[0]) ** 2 - ((y - CENTER_Y) / RADII[1]) ** 2
    inside = depth > 0
    image = np.abs(noise * random.normal(size=SHAPE))
    image[inside] = (0.08 + 0.6 * np.sqrt(depth.clip(0)) * (1 + 0.3 * random.normal(size=SHAPE)).clip(0.5, 1.5))[inside]
    if label:
        for column in (170, 180, 190):  # letters
            image[column : column + 6, 10:25] = 1
    return torch.from_numpy(offset + scale * image)[None].float(), torch.from_numpy(inside)[None]


def box(mask):
    return [(int(found.min()), int(found.max()) + 1) for found in np.nonzero(np.asarray(mask)[0])]


def assert_box(found, mask, tolerance=2):
    assert np.abs(np.subtract(box(found), box(mask))).max() <= tolerance, (box(found), box(mask))


@pytest.mark.parametrize("noise", [0, 0.01, 0.03])
@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (-1000, 4000)])
def test_outline_reaches_the_skin_and_leaves_labels_out(noise, offset, scale):
    image, inside = mammogram(noise, offset=offset, scale=scale)
    outline = breast_outline(image)
    assert outline.shape == (1, *SHAPE)
    assert outline.dtype == torch.bool
    assert_box(outline, inside)
    assert (outline & inside).sum() > 0.95 * inside.sum()
    assert (outline & ~inside).sum() < 0.02 * inside.sum()


def test_threshold_is_otsus():
    """By its definition: the two classes vary least within themselves."""
    image, _ = mammogram(label=False)
    values = ((image[0] - image.min()) / (image.max() - image.min())).sqrt().numpy()
    classes = [(values[values <= t], values[values > t]) for t in np.arange(1, 256) / 256]
    within = [low.size * low.var() + high.size * high.var() for low, high in classes]
    expected = values > (1 + np.argmin(within)) / 256
    # the mask is what lies above the threshold, but for specks
    assert (breast_outline(image)[0].numpy() != expected).mean() < 1e-3


def test_crop():
    image, inside = mammogram()
    (left, right), (top, bottom) = box(breast_outline(image))
    assert_box(breast_outline(image), inside)
    assert torch.equal(CropBreast()(image), image[:, left:right, top:bottom])
    wider = CropBreast(margin=10)(image)  # at the left border, there is nothing more
    assert torch.equal(wider, image[:, 0 : right + 10, top - 10 : bottom + 10])


def test_label_alone_does_not_matter():
    with_label, without = (CropBreast()(mammogram(label=label)[0]) for label in (True, False))
    assert with_label.shape == without.shape


def test_volume():
    image, inside = mammogram()
    volume = torch.stack([torch.zeros_like(image), image, image * 0.9], dim=-1)
    (left, right), (top, bottom) = box(inside)
    cropped = CropBreast()(volume)
    assert cropped.shape[-1] == 2
    assert np.abs(np.subtract(cropped.shape[1:3], (right - left, bottom - top))).max() <= 4


def test_color():
    image, inside = mammogram()
    for channel in range(3):
        color = torch.zeros(3, *SHAPE)
        color[channel] = image[0]
        assert_box(breast_outline(color), inside)


@pytest.mark.parametrize("value", [0, 0.5])
def test_image_of_one_value_stays_whole(value):
    image = torch.full((1, 8, 6), value)
    assert torch.equal(CropBreast()(image), image)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_outline_of_any_image_is_one_part_of_it(seed, width, height):
    image = torch.from_numpy(np.random.default_rng(seed).integers(0, 3, (1, width, height))).float()
    outline = breast_outline(image)
    assert ndimage.label(outline[0].numpy())[1] == 1
    assert CropBreast()(image).shape[1:] == tuple(end - start for start, end in box(outline))


def test_inverse_and_affine():
    image, _ = mammogram()
    image = MetaTensor(image, affine=torch.diag(torch.tensor([0.1, 0.2, 1, 1], dtype=torch.float64)))
    crop = CropBreast()
    cropped = crop(image)
    (left, _), (top, _) = box(breast_outline(image))
    assert torch.allclose(cropped.affine[:2, 3], torch.tensor([left * 0.1, top * 0.2], dtype=torch.float64))
    back = crop.inverse(cropped)
    assert back.shape == image.shape
    assert torch.allclose(back.affine, image.affine)
    inside = breast_outline(image)
    assert torch.equal(back[inside], image[inside])


def test_masks_follow_their_image():
    image, inside = mammogram()
    data = {"image": MetaTensor(image), "mask": MetaTensor(inside.float()), "grade": 3}
    crop = CropBreastd(["image", "mask"], source_key="image", margin=3)
    result = crop(data)
    assert torch.equal(result["image"], CropBreast(margin=3)(image))
    assert result["mask"].shape == result["image"].shape
    assert result["mask"].sum() == inside.sum()  # nothing of the breast is lost
    assert set(result) == {"image", "mask", "grade"}
    assert crop.inverse(result)["mask"].shape == inside.shape
    only_mask = CropBreastd("mask", source_key="image", margin=3)(data)
    assert torch.equal(only_mask["mask"], result["mask"])
    assert torch.equal(only_mask["image"], data["image"])


def test_missing_keys():
    data = {"image": mammogram()[0]}
    assert "mask" not in CropBreastd(["image", "mask"], "image", allow_missing_keys=True)(data)
    with pytest.raises(KeyError, match="mask"):
        CropBreastd(["image", "mask"], "image")(data)


def test_aliases():
    assert CropBreastD is CropBreastDict is CropBreastd
