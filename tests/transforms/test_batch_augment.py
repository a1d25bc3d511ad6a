# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from monai_semise.transforms import RandBatchAugment, RandBatchAugmentD, RandBatchAugmentd, RandBatchAugmentDict

IDENTITY = {
    "rotation": 0.0,
    "zoom": (1.0, 1.0),
    "shift": 0.0,
    "flip_axes": (),
    "brightness": 0.0,
    "contrast": (1.0, 1.0),
    "gamma": (1.0, 1.0),
    "noise": 0.0,
}
SHAPES = {2: (24, 40), 3: (12, 20, 16)}


def only(**kwargs):
    """An augmentation that does nothing but what is asked."""
    return RandBatchAugment(**{**IDENTITY, **kwargs})


@pytest.fixture(params=[2, 3], ids=["2D", "3D"])
def images(request):
    return torch.rand(3, 2, *SHAPES[request.param], generator=torch.Generator().manual_seed(0))


def blob(shape, centre, radius=3.0):
    """A smooth ball, as a batch of one image; ``centre`` in pixels from the middle of the image."""
    axes = [torch.arange(n) - (n - 1) / 2 for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    at = torch.tensor(centre).view(-1, *[1] * len(shape))
    return torch.exp(-((grid - at) ** 2).sum(0) / (2 * radius**2))[None, None]


def moments(images):
    """Total, centre of mass (pixels from the middle) and spread along each axis of the first image of a batch."""
    image = images[0, 0]
    axes = [torch.arange(n) - (n - 1) / 2 for n in image.shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    weight = image.flatten() / image.sum()
    centre = centres(images)[0, 0]
    spread = (((grid - centre[:, None]) ** 2) @ weight).sqrt()
    return float(image.sum()), centre, spread


def centres(images):
    """Centre of mass of every channel, shape (B, C, axes), in pixels from the middle."""
    axes = [torch.arange(n) - (n - 1) / 2 for n in images.shape[2:]]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    weight = images.flatten(2)
    return weight @ grid.T / weight.sum(dim=2, keepdim=True)


# ---------------------------------------------------------------- what comes out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("spatial", SHAPES.values())
def test_shape_type_and_range(dtype, channels, spatial):
    images = torch.rand(4, channels, *spatial).to(dtype)
    before = images.clone()
    result = RandBatchAugment(brightness=0.5, contrast=(0.5, 2.0), noise=0.3)(images)
    assert type(result) is torch.Tensor
    assert (result.shape, result.dtype) == (images.shape, dtype)
    assert 0 <= result.min() < result.max() <= 1
    assert torch.equal(images, before)


def test_metadata_is_dropped(images):
    assert type(RandBatchAugment()(MetaTensor(images))) is torch.Tensor


def test_manual_seed_repeats(images):
    torch.manual_seed(5)
    first = RandBatchAugment()(images)
    second = RandBatchAugment()(images)
    torch.manual_seed(5)
    assert torch.equal(RandBatchAugment()(images), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"rotation": 20.0},
        {"zoom": (0.8, 1.2)},
        {"shift": 0.1},
        {"brightness": 0.2},
        {"contrast": (0.5, 2.0)},
        {"gamma": (0.5, 2.0)},
        {"noise": 0.1},
        {"crop": (0.3, 0.8)},
        {"blur": (0.5, 3.0)},
    ],
    ids=lambda kwargs: next(iter(kwargs)),
)
def test_every_image_gets_its_own_parameters(images, kwargs):
    torch.manual_seed(0)
    same = images[:1].expand(4, *images.shape[1:])
    result = only(**kwargs)(same)
    for i in range(4):
        assert not torch.allclose(result[i], same[i], atol=1e-3)
        assert all(not torch.allclose(result[i], result[j], atol=1e-3) for j in range(i))


def test_channels_of_an_image_are_moved_alike(images):
    same = images[:, :1].expand(-1, 3, *images.shape[2:])
    result = only(rotation=20.0, zoom=(0.8, 1.2), shift=0.1, flip_axes=(0, 1), brightness=0.1, gamma=(0.5, 2.0))(same)
    assert torch.equal(result[:, 0], result[:, 1])
    assert torch.equal(result[:, 0], result[:, 2])


# ---------------------------------------------------------------- what each parameter does


def test_identity(images):
    assert torch.allclose(only()(images), images, atol=1e-5)


@pytest.mark.parametrize("draw", [0.0, 1.0])
def test_identity_whatever_is_drawn(images, force, draw):
    force(draw)
    assert torch.allclose(only()(images), images, atol=1e-5)


@pytest.mark.parametrize(("dims", "axis"), [(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
def test_flip(force, dims, axis):
    images = torch.rand(3, 2, *SHAPES[dims])
    force(0.0)  # below 1/2: flip
    assert torch.allclose(only(flip_axes=(axis,))(images), torch.flip(images, [axis + 2]), atol=1e-5)
    force(0.75)
    assert torch.allclose(only(flip_axes=(axis,))(images), images, atol=1e-5)


def test_flip_of_several_axes(force):
    images = torch.rand(2, 1, *SHAPES[3])
    force(0.0)
    assert torch.allclose(only(flip_axes=(0, 2))(images), torch.flip(images, [2, 4]), atol=1e-5)


def test_half_of_the_images_are_flipped():
    torch.manual_seed(0)
    images = torch.rand(1, 1, 8, 8).expand(400, 1, 8, 8)
    flipped = (only(flip_axes=(1,))(images) - images).abs().flatten(1).amax(1) > 1e-3
    assert 150 < flipped.sum() < 250


@pytest.mark.parametrize("axes", [(2,), (-1,), (0, 5)])
def test_axis_that_is_not_there(axes):
    with pytest.raises(ValueError, match=rf"flip_axes names axis {axes[-1]}, but the images have .* 0 to 1"):
        only(flip_axes=axes)(torch.rand(1, 1, 8, 8))


@pytest.mark.parametrize("angle", [10.0, 30.0, 90.0])
@pytest.mark.parametrize(("draw", "sign"), [(0.0, -1), (1.0, 1)])
def test_rotation_agrees_with_scipy(force, angle, draw, sign):
    """On an image that is not square, where a rotation in normalized coordinates would shear."""
    image = blob((48, 80), (6.0, -9.0)) + 0.5 * blob((48, 80), (-7.0, 4.0), radius=4.0)
    image = image / image.max()
    force(draw)
    result = only(rotation=angle)(image)
    expected = ndimage.rotate(image[0, 0].numpy(), sign * angle, reshape=False, order=1)
    row, column = np.meshgrid(np.arange(48) - 23.5, np.arange(80) - 39.5, indexing="ij")
    inside = np.hypot(row, column) < 23  # beyond, the image is padded by reflection
    assert np.abs(result[0, 0].numpy() - expected)[inside].max() < 0.01
    assert np.abs((result - image)[0, 0].numpy())[inside].max() > 0.2


def test_rotations_are_rigid_in_3d(force):
    """A ball stays a ball at the same distance from the middle, in a volume of three different lengths."""
    image = blob((40, 56, 48), (5.0, -8.0, 3.0), radius=2.0)
    force(1.0)
    result = only(rotation=40.0)(image)
    total, centre, spread = moments(image)
    new_total, new_centre, new_spread = moments(result)
    assert new_total == pytest.approx(total, rel=0.01)
    assert float(new_centre.norm()) == pytest.approx(float(centre.norm()), abs=0.05)
    assert (new_centre - centre).norm() > 3
    assert torch.allclose(new_spread, spread, atol=0.15)


def test_every_plane_of_a_volume_is_rotated_by_an_angle_of_its_own():
    """Three balls, one on each axis, in three channels, which are moved alike: they go to the columns of a rotation."""
    torch.manual_seed(0)
    shape = (22, 30, 26)
    volume = torch.cat([blob(shape, tuple(6.0 * (i == j) for i in range(3)), 1.5)[0] for j in range(3)])
    matrices = centres(only(rotation=15.0)(volume.expand(150, 3, *shape))).mT / 6
    assert torch.allclose(matrices @ matrices.mT, torch.eye(3).expand_as(matrices), atol=0.05)
    angles = torch.stack([matrices[:, 0, 1], matrices[:, 0, 2], matrices[:, 1, 2]]).asin().rad2deg()
    assert ((angles.std(dim=1) - 15 / 3**0.5).abs() < 2).all()  # uniform from -15 to 15
    assert (torch.corrcoef(angles).fill_diagonal_(0).abs() < 0.3).all()


def test_largest_rotation():
    """Angles fill the range from -rotation to rotation."""
    torch.manual_seed(0)
    image = blob((41, 41), (0.0, 12.0), radius=2.0)
    rotated = only(rotation=30.0)(image.expand(200, 1, 41, 41))
    centres = torch.stack([moments(one[None])[1] for one in rotated])
    angles = torch.rad2deg(torch.atan2(centres[:, 0], centres[:, 1]))
    assert 25 < angles.max() < 31
    assert -31 < angles.min() < -25
    assert abs(angles.mean()) < 5


@pytest.mark.parametrize("zoom", [0.8, 1.25])
@pytest.mark.parametrize("shape", [(48, 80), (32, 48, 40)])
def test_zoom_magnifies(zoom, shape):
    image = blob(shape, (4.0, -5.0, 3.0)[: len(shape)], radius=2.0)
    total, centre, spread = moments(image)
    new_total, new_centre, new_spread = moments(only(zoom=(zoom, zoom))(image))
    assert new_total == pytest.approx(total * zoom ** len(shape), rel=0.02)
    assert torch.allclose(new_centre, centre * zoom, atol=0.05)
    assert torch.allclose(new_spread, spread * zoom, rtol=0.05)


@pytest.mark.parametrize("draw", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(40, 60), (20, 40, 30)])
def test_shift_is_a_share_of_the_image(force, draw, shape):
    images = torch.rand(2, 1, *shape)
    force(draw)
    result = only(shift=0.1)(images)
    pixels = [round(0.1 * n) * (-1 if draw else 1) for n in shape]
    expected = torch.roll(images, pixels, dims=list(range(2, 2 + len(shape))))
    inside = (slice(None), slice(None), *(slice(n // 8, -(n // 8)) for n in shape))
    assert torch.allclose(result[inside], expected[inside], atol=1e-4)


def test_every_axis_is_shifted_and_flipped_by_a_draw_of_its_own():
    torch.manual_seed(0)
    volume = blob((20, 28, 24), (4.0, 5.0, 4.0), radius=1.5)
    moved = centres(only(shift=0.05, flip_axes=(0, 1, 2))(volume.expand(200, 1, 20, 28, 24)))[:, 0]
    sides = (moved > 0).float()
    assert ((sides.mean(dim=0) - 0.5).abs() < 0.15).all()
    shifts = moved.abs() - torch.tensor([4.0, 5.0, 4.0])
    assert (shifts.abs().amax(dim=0) < 0.055 * torch.tensor([20, 28, 24])).all()
    assert (shifts.std(dim=0) > 0.02 * torch.tensor([20, 28, 24])).all()
    for draws in (sides, shifts):
        assert (torch.corrcoef(draws.T).fill_diagonal_(0).abs() < 0.3).all()


@pytest.mark.parametrize(("draw", "change"), [(0.0, -0.2), (1.0, 0.2)])
def test_brightness(force, draw, change):
    images = 0.3 + 0.4 * torch.rand(2, 1, 8, 8)
    force(draw)
    assert torch.allclose(only(brightness=0.2)(images), images + change, atol=1e-5)


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_contrast(factor):
    images = 0.4 + 0.2 * torch.rand(2, 1, 8, 8)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    assert torch.allclose(only(contrast=(factor, factor))(images), mean + factor * (images - mean), atol=1e-5)


@pytest.mark.parametrize("exponent", [0.5, 2.0])
def test_gamma(exponent):
    images = torch.rand(2, 1, 8, 8)
    assert torch.allclose(only(gamma=(exponent, exponent))(images), images**exponent, atol=1e-5)


def test_noise(force):
    torch.manual_seed(0)
    force(1.0)
    noise = only(noise=0.05)(torch.full((1, 1, 100, 100), 0.5)) - 0.5
    assert float(noise.std()) == pytest.approx(0.05, rel=0.03)
    assert abs(float(noise.mean())) < 0.002


@pytest.mark.parametrize("name", ["zoom", "contrast", "gamma", "crop", "aspect"])
@pytest.mark.parametrize("bad", [(0.0, 1.0), (1.2, 0.8), (-1.0, 1.0), (float("nan"), 1.0)])
def test_bad_range(name, bad):
    with pytest.raises(ValueError, match=rf"{name} must be a range \(low, high\) with 0 < low <= high, got"):
        RandBatchAugment(**{name: bad})


def test_crop_larger_than_the_image():
    with pytest.raises(ValueError, match=r"crop must be shares of the image, at most 1, got \(0.5, 1.5\)"):
        RandBatchAugment(crop=(0.5, 1.5))


@pytest.mark.parametrize("bad", [(-1.0, 1.0), (2.0, 1.0), (0.0, float("nan"))])
def test_bad_blur(bad):
    with pytest.raises(ValueError, match=r"blur must be a range \(low, high\) with 0 <= low <= high, got"):
        RandBatchAugment(blur=bad)


# ---------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("dims", [2, 3])
def test_nothing_is_drawn_for_crop_and_blur_that_are_off(dims):
    """Results that are on record were made without them."""
    images = torch.rand(5, 2, *SHAPES[dims])
    torch.manual_seed(0)
    RandBatchAugment(flip_axes=range(dims))(images)
    after = torch.rand(1)
    torch.manual_seed(0)
    n_rotations = {2: 1, 3: 3}[dims]
    for shape in ((5,),) * n_rotations + ((5, 1),) + ((5,),) * dims + ((5, dims),) + ((5,),) * 4:
        torch.rand(shape)
    torch.randn_like(images)
    assert torch.equal(torch.rand(1), after)


@pytest.mark.parametrize("shape", [(40, 3, 13, 17), (33, 1, 5, 7, 9)])
def test_a_part_of_the_batch_at_a_time_changes_nothing(monkeypatch, shape):
    images = torch.rand(shape)
    augment = RandBatchAugment(crop=(0.5, 1.0), blur=(0.0, 1.0))
    torch.manual_seed(0)
    in_parts = augment(images)
    monkeypatch.setattr("monai_semise.transforms.batch_augment.CPU_IMAGES", 1000)
    torch.manual_seed(0)
    assert torch.allclose(augment(images), in_parts, atol=1e-6)


def test_images_can_have_gradients(images):
    images.requires_grad_()
    RandBatchAugment(blur=(0.0, 1.0))(images).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


# ---------------------------------------------------------------- masks move along


@pytest.mark.parametrize("shape", [(48, 80), (32, 48, 40)])
def test_masks_move_with_their_images(shape):
    torch.manual_seed(3)
    image = blob(shape, (5.0, -7.0, 3.0)[: len(shape)]).expand(4, 1, *shape)
    augment = only(rotation=25.0, zoom=(0.8, 1.2), shift=0.1, flip_axes=(0, 1), crop=(0.7, 1.0))
    moved, masks = augment.with_masks(image, (image > 0.5).float())
    assert ((moved > 0.5).float() - masks).abs().sum() < 0.25 * masks.sum()
    assert ((image > 0.5).float() - masks).abs().sum() > masks.sum()


def test_masks_keep_their_values_and_type():
    torch.manual_seed(0)
    images, masks = torch.rand(4, 1, 24, 40), 3 * (torch.rand(4, 2, 24, 40) < 0.3).byte()
    moved = RandBatchAugment(rotation=40.0).with_masks(images, masks)[1]
    assert (moved.dtype, moved.shape) == (torch.uint8, masks.shape)
    assert moved.unique().tolist() == [0, 3]


def test_masks_change_nothing_for_the_images(images):
    torch.manual_seed(5)
    alone = RandBatchAugment()(images)
    torch.manual_seed(5)
    assert torch.equal(RandBatchAugment().with_masks(images, torch.ones_like(images))[0], alone)


def test_metadata_of_masks_is_dropped(images):
    moved = RandBatchAugment().with_masks(MetaTensor(images), MetaTensor(images))
    assert [type(part) for part in moved] == [torch.Tensor, torch.Tensor]


# ---------------------------------------------------------------- dictionary form


def test_dictionary(images):
    torch.manual_seed(1)
    batch = {"image": images, "severity": torch.arange(3)}
    result = RandBatchAugmentd("image", noise=0.0)(batch)
    torch.manual_seed(1)
    assert torch.equal(result["image"], RandBatchAugment(noise=0.0)(images))
    assert result["severity"] is batch["severity"]
    assert batch["image"] is images


def test_each_key_gets_draws_of_its_own(images):
    result = RandBatchAugmentd(["image", "image_2"])({"image": images, "image_2": images})
    assert not torch.equal(result["image"], result["image_2"])


def test_missing_keys(images):
    assert set(RandBatchAugmentd(["image", "x"], allow_missing_keys=True)({"image": images})) == {"image"}
    with pytest.raises(KeyError, match="x"):
        RandBatchAugmentd(["image", "x"])({"image": images})


def test_aliases():
    assert RandBatchAugmentD is RandBatchAugmentDict is RandBatchAugmentd
