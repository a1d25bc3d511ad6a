# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import CacheDataset
from monai.transforms import Compose, Resized
from PIL import Image

from monai_semise.data import load_datalist
from monai_semise.transforms import (
    LoadCheckedImage,
    LoadCheckedImaged,
    LoadMask,
    LoadMaskD,
    LoadMaskd,
    LoadMaskDict,
)
from monai_semise.utils import InputError, find_semise_error

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def shape():
    """Something that looks otherwise when it is turned or mirrored; rows, columns."""
    mask = np.zeros((20, 30), dtype=np.uint8)
    mask[2:9, 4:20] = 1
    mask[9:18, 4:8] = 1
    return mask


@pytest.fixture
def write(tmp_path):
    def write(name, content, affine=LPS):
        path = tmp_path / name
        if name.endswith(".nii.gz"):
            nib.save(nib.Nifti1Image(content, affine), path)
        else:
            Image.fromarray(content).save(path)
        return str(path)

    return write


@pytest.fixture
def image(write):
    return LoadCheckedImage(channels=1)(write("image.png", np.zeros((20, 30), dtype=np.uint8)))


# ---------------------------------------------------------------- what a mask may be


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize("value", [1, 7, 255])
def test_one_file(write, image, shape, suffix, value):
    mask = LoadMask()(write(f"mask.{suffix}", shape * np.uint8(value)), image)
    assert (mask.dtype, mask.shape) == (torch.uint8, (1, 30, 20))
    assert np.array_equal(mask[0].numpy(), shape.T)


def test_colour_file(write, image, shape):
    green = np.stack([np.zeros_like(shape), shape * np.uint8(200), np.zeros_like(shape)], axis=-1)
    assert np.array_equal(LoadMask()(write("mask.png", green), image)[0].numpy(), shape.T)


def test_bits(write, image, shape):
    assert np.array_equal(LoadMask()(write("mask.png", shape.astype(bool)), image)[0].numpy(), shape.T)


def test_a_file_for_each_structure_which_may_overlap_or_be_absent(write, image, shape):
    files = [write("a.png", shape), None, write("c.png", np.ones_like(shape))]
    mask = LoadMask(3)(files, image)
    assert mask.shape == (3, 30, 20)
    assert np.array_equal(mask[0].numpy(), shape.T)
    assert not mask[1].any()
    assert mask[2].all()


def test_absent_lesion(image):
    mask = LoadMask()([None], image)
    assert mask.shape == (1, 30, 20)
    assert not mask.any()


def test_label_map(write, image, shape):
    labels = shape.copy()
    labels[:5] *= 3
    mask = LoadMask(3)(write("labels.png", labels), image)
    assert np.array_equal(mask.numpy(), np.stack([k == labels.T for k in (1, 2, 3)]))


def test_labels_of_one_structure_are_all_foreground(write, image, shape):
    labels = shape.copy()
    labels[:5] *= 3
    assert np.array_equal(LoadMask(1)(write("labels.png", labels), image)[0].numpy(), shape.T)


def test_volume(write):
    volume = np.random.default_rng(0).integers(0, 3, (8, 6, 4)).astype(np.int16)
    image = LoadCheckedImage(1, 3)(write("image.nii.gz", volume))
    mask = LoadMask(2, spatial_dims=3)(write("mask.nii.gz", volume), image)
    assert np.array_equal(mask.numpy(), np.stack([volume == 1, volume == 2]))


@pytest.mark.parametrize("image_format", ["png", "dicom", "nifti", "dicom_series"])
def test_mask_lies_on_its_image(phantoms, image_format):
    """Lesions of phantoms are brighter than their surroundings, and only where their mask is."""
    spatial_dims = 2 if image_format in ("png", "dicom") else 3
    for item in load_datalist(phantoms(image_format))["training"]:
        if item["severity"] < 4:
            continue
        image = LoadCheckedImage(1, spatial_dims)(item["image"])
        mask = LoadMask(1, spatial_dims)(item["mask"], image).bool()
        turned = mask.flip(1)
        assert mask.shape == image.shape
        assert image[mask].mean() > 1.1 * image[turned & ~mask].mean()


@given(labels=st.lists(st.integers(0, 4), min_size=6, max_size=6), n=st.integers(1, 4))
@settings(max_examples=30)
def test_label_maps_become_one_channel_a_label(tmp_path, labels, n):
    path = tmp_path / "labels.png"
    grid = np.array(labels, dtype=np.uint8).reshape(2, 3)
    Image.fromarray(grid).save(path)
    image = torch.zeros(1, 3, 2)
    if n > 1 and grid.max() > n:
        with pytest.raises(InputError, match=r"labels\.png: label \d found"):
            LoadMask(n)(path, image)
        return
    mask = LoadMask(n)(path, image)
    expected = [k == grid.T for k in range(1, n + 1)] if n > 1 else [grid.T > 0]
    assert np.array_equal(mask.numpy(), np.stack(expected))


# ---------------------------------------------------------------- errors: both files, both sizes, what to do


def test_other_size_than_the_image(write, image, shape):
    path = write("mask.png", shape[:, :25])
    with pytest.raises(InputError) as caught:
        LoadMask()(path, image, "/data/image.png")
    assert str(caught.value) == (
        f"{path}: the mask has size 25 x 20 and its image /data/image.png 30 x 20; "
        "correct the datalist, or draw the mask on this image"
    )


def test_turned_mask(write, image, shape):
    with pytest.raises(InputError, match="the mask has size 20 x 30 and its image the image 30 x 20"):
        LoadMask()(write("mask.png", shape.T.copy()), image)


def test_volume_that_is_mirrored_in_space(write):
    volume = np.ones((8, 6, 4), dtype=np.int16)
    image = LoadCheckedImage(1, 3)(write("image.nii.gz", volume))
    path = write("mask.nii.gz", volume, affine=np.diag([1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(InputError, match=r"mask\.nii\.gz: the axes of the mask point to RPS and those .* to LPS; save"):
        LoadMask(spatial_dims=3)(path, image)


def test_volume_of_other_voxels_in_the_header_is_accepted(write):
    volume = np.ones((8, 6, 4), dtype=np.int16)
    image = LoadCheckedImage(1, 3)(write("image.nii.gz", volume))
    assert LoadMask(spatial_dims=3)(write("mask.nii.gz", volume, affine=LPS * 0.97), image).all()


def test_missing(image, tmp_path):
    with pytest.raises(InputError, match=r"none\.png: no such image; correct the datalist"):
        LoadMask()(tmp_path / "none.png", image)


def test_lossy_compression(write, image, tmp_path):
    blurred = np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)
    with pytest.raises(InputError, match=r"mask\.png: \d+ different values found, which is no mask; threshold it"):
        LoadMask()(write("mask.png", blurred), image)


def test_channels(write, image, shape):
    rgba = np.stack([shape] * 4, axis=-1)
    with pytest.raises(InputError, match=r"mask\.png: 4 channels found; save the mask as a grey image"):
        LoadMask()(write("mask.png", rgba), image)
    with pytest.raises(InputError, match=r"labels\.png: 3 channels found where a label map has one; list one mask"):
        LoadMask(2)(write("labels.png", rgba[..., :3]), image)


@pytest.mark.parametrize("value", [3, 255])
def test_label_of_no_structure(write, image, shape, value):
    with pytest.raises(InputError, match=rf"label {value} found where a label map of 2 structures holds 0 to 2"):
        LoadMask(2)(write("labels.png", shape * np.uint8(value)), image)


def test_label_between_two(write):
    labels = np.full((4, 4, 4), 0.5, dtype=np.float32)
    image = LoadCheckedImage(1, 3)(write("image.nii.gz", labels))
    with pytest.raises(InputError, match=r"label 0\.5 found"):
        LoadMask(2, spatial_dims=3)(write("labels.nii.gz", labels), image)


def test_number_of_files(write, image, shape):
    with pytest.raises(InputError, match=r"a/b\.png: 2 masks where there are 3 structures; list one for each, null"):
        LoadMask(3)([write("mask.png", shape), None], image, "a/b.png")


def test_exclusive_structures_that_overlap(write, image, shape):
    one = write("one.png", shape)
    other = np.zeros_like(shape)
    other[:3] = 1
    files = [one, write("other.png", other)]
    assert LoadMask(2)(files, image).sum(dim=0).max() == 2
    with pytest.raises(InputError, match="the image: its masks overlap in 16 pixels, and the structures are said to"):
        LoadMask(2, exclusive=True)(files, image)
    assert LoadMask(2, exclusive=True)([one, write("other.png", 1 - shape)], image).sum() == 600


def test_no_structure():
    with pytest.raises(ValueError, match="n_structures must be at least 1, got 0"):
        LoadMask(0)


# ---------------------------------------------------------------- dictionary form


def test_dictionary_names_the_image(write, shape):
    item = {"image": write("image.png", shape), "mask": write("mask.png", shape[:-1]), "severity": 1}
    with pytest.raises(RuntimeError) as caught:
        Compose([LoadCheckedImaged("image", 1), LoadMaskd("mask")])(item)
    message = f"{item['mask']}: the mask has size 30 x 19 and its image {item['image']} 30 x 20"
    assert message in str(find_semise_error(caught.value))


def test_in_a_pipeline(phantoms):
    items = load_datalist(phantoms())["validation"]
    steps = [
        LoadCheckedImaged("image", 1),
        LoadMaskd("mask"),
        Resized(["image", "mask"], (16, 16), mode=["area", "nearest-exact"]),
    ]
    for item, source in zip(CacheDataset(items, Compose(steps), progress=False), items):
        assert item["mask"].shape == (1, 16, 16)
        assert set(item["mask"].unique().tolist()) <= {0, 1}
        assert bool(item["mask"].any()) == (source["severity"] > 0)


def test_structures_and_exclusive_reach_the_array_transform(write, shape):
    files = [write("one.png", shape), write("other.png", shape)]
    data = {"image": LoadCheckedImage(1)(write("image.png", shape)), "mask": files}
    result = LoadMaskd("mask", n_structures=2)(data)
    assert result["mask"].shape == (2, 30, 20)
    assert data["mask"] is files
    with pytest.raises(InputError, match="overlap"):
        LoadMaskd("mask", n_structures=2, exclusive=True)(data)


def test_missing_keys(image):
    assert LoadMaskd("mask", allow_missing_keys=True)({"image": image}) == {"image": image}
    with pytest.raises(KeyError, match="mask"):
        LoadMaskd("mask")({"image": image})


def test_aliases():
    assert LoadMaskD is LoadMaskDict is LoadMaskd


@pytest.mark.parametrize("quality", [75, 95])
def test_a_jpeg_is_no_mask(tmp_path, image, shape, quality):
    """Its few blurred values would all count as foreground."""
    path = tmp_path / "mask.JPG"
    Image.fromarray(255 * shape).save(path, "JPEG", quality=quality)
    with pytest.raises(InputError, match=r"mask\.JPG: a JPEG holds no exact mask"):
        LoadMask()(str(path), image)
