# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, ScaleIntensityd
from PIL import Image

from monai_semise.bundle import find_semise_error
from monai_semise.data import load_datalist
from monai_semise.transforms import LoadCheckedImage, LoadCheckedImageD, LoadCheckedImaged, LoadCheckedImageDict
from monai_semise.utils import InputError


@pytest.fixture(scope="module")
def grey():
    return np.random.default_rng(0).integers(0, 256, (48, 32), dtype=np.uint8)


@pytest.fixture
def write(tmp_path, grey):
    """Write an image, or bytes, under a name and give its path."""

    def write(name, content=grey):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif name.endswith((".nii", ".nii.gz")):
            nib.save(nib.Nifti1Image(content, np.eye(4)), path)
        else:
            Image.fromarray(content).save(path)
        return path

    return write


@pytest.fixture
def cut_in_half(write):
    def cut(path):
        content = path.read_bytes()
        return write(f"cut_{path.name}", content[: len(content) // 2])

    return cut


# ---------------------------------------------------------------- what can be read


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize("as_text", [True, False])
def test_grey_image(write, grey, suffix, as_text):
    path = write(f"grey.{suffix}")
    image = LoadCheckedImage(channels=1)(str(path) if as_text else path)
    assert isinstance(image, MetaTensor)
    assert image.dtype == torch.float32
    # MONAI's PILReader transposes, its ITKReader (tif) has the same axes
    assert np.array_equal(image[0].numpy(), grey.T)


def test_colour_image(write):
    colour = np.random.default_rng(1).integers(0, 256, (48, 32, 3), dtype=np.uint8)
    image = LoadCheckedImage(channels=3)(write("colour.png", colour))
    assert np.array_equal(image.numpy(), colour.transpose(2, 1, 0))


@pytest.mark.parametrize("shape", [(16, 12, 8), (16, 12, 8, 1)])
def test_volume(write, shape):
    volume = np.random.default_rng(2).random(shape).astype(np.float32)
    image = LoadCheckedImage(channels=1, spatial_dims=3)(write("volume.nii.gz", volume))
    assert np.array_equal(image[0].numpy(), volume.reshape(16, 12, 8))


def test_volume_with_channels(write):
    volume = np.random.default_rng(2).random((8, 6, 4, 1, 3)).astype(np.float32)
    image = LoadCheckedImage(channels=3, spatial_dims=3)(write("volume.nii.gz", volume[:, :, :, 0]))
    assert np.array_equal(image.numpy(), volume[:, :, :, 0].transpose(3, 0, 1, 2))


@pytest.mark.parametrize("reader", [None, "PydicomReader"])
def test_dicom_of_one_slice_is_an_image(phantoms, reader):
    path = load_datalist(phantoms("dicom"))["test"][0]["image"]
    image = LoadCheckedImage(channels=1, reader=reader)(path)
    assert image.shape == (1, 32, 32)
    assert 255 < image.max() <= 4095


def test_volume_of_one_slice_is_an_image_or_a_volume(write):
    path = write("slice.nii.gz", np.ones((16, 12, 1), dtype=np.float32))
    assert LoadCheckedImage(channels=1, spatial_dims=2)(path).shape == (1, 16, 12)
    assert LoadCheckedImage(channels=1, spatial_dims=3)(path).shape == (1, 16, 12, 1)


# ---------------------------------------------------------------- errors: the file, what is wrong, what to do


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "nii", "nii.gz"])
def test_truncated(write, cut_in_half, suffix):
    random = np.random.default_rng(3)
    nifti = suffix.startswith("nii")
    path = write(f"a.{suffix}", random.random((16, 16, 16)).astype(np.float32)) if nifti else write(f"a.{suffix}")
    LoadCheckedImage(channels=1, spatial_dims=3 if nifti else 2)(path)
    with pytest.raises(InputError, match=rf"cut_a\.{suffix}: cannot be read as an image \(.+\); restore the file"):
        LoadCheckedImage(channels=1, spatial_dims=3 if nifti else 2)(cut_in_half(path))


def test_truncated_png_says_so(write, cut_in_half):
    with pytest.raises(InputError, match=r"cut_a\.png: cannot be read as an image \(image file is truncated"):
        LoadCheckedImage(channels=1)(cut_in_half(write("a.png")))


def test_truncated_dicom(phantoms, cut_in_half, tmp_path):
    source = load_datalist(phantoms("dicom"))["test"][0]["image"]
    path = shutil.copy(source, tmp_path / "a.dcm")
    with pytest.raises(InputError, match=r"cut_a\.dcm: cannot be read as an image \(.+\); restore the file"):
        LoadCheckedImage(channels=1)(cut_in_half(path))


@pytest.mark.parametrize("name", ["a.png", "a.dcm", "a.nii.gz", "a.xyz"])
@pytest.mark.parametrize("content", [b"", b"this is no image"])
def test_not_an_image(write, name, content):
    with pytest.raises(InputError, match=rf"{name}: cannot be read as an image \(.+\); restore the file, or remove"):
        LoadCheckedImage(channels=1)(write(name, content))


def test_missing(tmp_path):
    with pytest.raises(InputError, match=r"none\.png: no such image; correct the datalist, or remove the item"):
        LoadCheckedImage(channels=1)(tmp_path / "none.png")


def test_message_is_one_short_line(write):
    with pytest.raises(InputError) as caught:
        LoadCheckedImage(channels=1, reader="PydicomReader")(write("a.xyz", b"this is no image"))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert caught.value.__cause__ is not None


def test_channels(write):
    path = write("colour.png", np.zeros((8, 8, 3), dtype=np.uint8))
    with pytest.raises(InputError, match=r"colour\.png: 3 channel\(s\) found where in_channels is 1; convert"):
        LoadCheckedImage(channels=1)(path)
    with pytest.raises(InputError, match=r"grey\.png: 1 channel\(s\) found where in_channels is 3"):
        LoadCheckedImage(channels=3)(write("grey.png"))


def test_spatial_dims(write):
    volume = write("volume.nii.gz", np.zeros((8, 6, 4), dtype=np.float32))
    with pytest.raises(
        InputError, match=r"volume\.nii\.gz: spatial shape \(8, 6, 4\) has 3 axes where spatial_dims is"
    ):
        LoadCheckedImage(channels=1, spatial_dims=2)(volume)
    with pytest.raises(InputError, match=r"grey\.png: spatial shape \(32, 48\) has 2 axes where spatial_dims is 3"):
        LoadCheckedImage(channels=1, spatial_dims=3)(write("grey.png"))


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_palette(tmp_path, grey, suffix):
    """MONAI reads the numbers of the colours, whose order means nothing."""
    path = tmp_path / f"palette.{suffix}"
    Image.fromarray(grey).quantize(16).save(path)
    with pytest.raises(InputError, match=rf"palette\.{suffix}: holds numbers of palette colours, .*; convert"):
        LoadCheckedImage(channels=1)(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(write, value):
    volume = np.zeros((8, 6, 4), dtype=np.float32)
    volume[1, 2, 3] = value
    with pytest.raises(InputError, match=r"volume\.nii\.gz: holds values that are not finite; repair the file"):
        LoadCheckedImage(channels=1, spatial_dims=3)(write("volume.nii.gz", volume))


# ---------------------------------------------------------------- dictionary form


def test_dictionary(write):
    path = write("grey.png")
    data = {"image": str(path), "severity": 2}
    result = LoadCheckedImaged("image", channels=1)(data)
    assert torch.equal(result["image"].as_tensor(), LoadCheckedImage(channels=1)(path).as_tensor())
    assert (result["severity"], result["image_path"]) == (2, str(path))
    assert data == {"image": str(path), "severity": 2}


def test_dictionary_of_several_keys(write):
    path = write("grey.png")
    result = LoadCheckedImaged(["image", "mask"], channels=1)({"image": path, "mask": path})
    assert result["image"].shape == result["mask"].shape == (1, 32, 48)
    assert result["mask_path"] == str(path)


def test_missing_keys(write):
    data = {"image": write("grey.png")}
    assert "mask" not in LoadCheckedImaged(["image", "mask"], channels=1, allow_missing_keys=True)(data)
    with pytest.raises(KeyError, match="mask"):
        LoadCheckedImaged(["image", "mask"], channels=1)(data)


def test_aliases():
    assert LoadCheckedImageD is LoadCheckedImageDict is LoadCheckedImaged


def pipeline():
    return Compose([LoadCheckedImaged("image", channels=1), ScaleIntensityd("image")])


def test_in_a_pipeline(phantoms):
    items = load_datalist(phantoms())["validation"]
    for dataset in (Dataset(items, pipeline()), CacheDataset(items, pipeline(), progress=False)):
        batch = next(iter(DataLoader(dataset, batch_size=10)))
        assert batch["image"].shape == (10, 1, 32, 32)
        assert (batch["image"].min(), batch["image"].max()) == (0, 1)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_error_in_a_cache_can_be_found(phantoms, write, num_workers):
    items = [*load_datalist(phantoms())["validation"], {"image": write("bad.png", b"no image"), "severity": 0}]
    with pytest.raises(RuntimeError) as caught:
        CacheDataset(items, pipeline(), num_workers=num_workers, progress=False)
    error = find_semise_error(caught.value)
    assert isinstance(error, InputError)
    assert "bad.png: cannot be read as an image" in str(error)


def test_error_in_a_loader_can_be_found(write):
    loader = DataLoader(Dataset([{"image": write("bad.png", b"no image")}], pipeline()), batch_size=1)
    with pytest.raises(RuntimeError) as caught:
        next(iter(loader))
    assert "bad.png: cannot be read as an image" in str(find_semise_error(caught.value))
