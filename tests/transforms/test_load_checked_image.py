# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import shutil

import itk
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, LoadImage, ScaleIntensityd
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from monai_semise.data import load_datalist
from monai_semise.transforms import LoadCheckedImage, LoadCheckedImageD, LoadCheckedImaged, LoadCheckedImageDict
from monai_semise.utils import InputError, find_semise_error
from tests.data.dicom_files import write_dicom


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


def as_itk(suffix):
    def write(path, picture):
        itk.imwrite(itk.image_from_array(picture, is_vector=picture.ndim == 3), f"{path}{suffix}")
        return f"{path}{suffix}"

    return write


def as_pil(suffix, **kwargs):
    def write(path, picture):
        Image.fromarray(picture).save(f"{path}{suffix}", **kwargs)
        return f"{path}{suffix}"

    return write


def as_nifti(path, picture):
    """NIfTI holds x first, and channels on its fifth axis."""
    picture = picture.swapaxes(0, 1)
    picture = picture if picture.ndim == 2 else picture[:, :, None, None]
    nib.save(nib.Nifti1Image(picture, np.diag([-1, -1, 1, 1])), f"{path}.nii")
    return f"{path}.nii"


WRITERS = {
    "png": as_pil(".png"),
    "bmp": as_pil(".bmp"),
    "jpeg": as_pil(".jpg", quality=100, subsampling=0),
    "tiff": as_pil(".tif"),
    "tiff by itk": as_itk(".tiff"),
    "nrrd": as_itk(".nrrd"),
    "metaimage": as_itk(".mha"),
    "nifti": as_nifti,
    "dicom": lambda path, picture: write_dicom(f"{path}.dcm", picture),
}


MISSING = {
    ("bmp", "16 bit"): "a format of 8 bits",
    ("jpeg", "16 bit"): "a format of 8 bits",
    ("metaimage", "color"): "holds vectors of bytes, which ITK cannot give to Python",
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", ["8 bit", "16 bit", "color"])
def test_one_picture_is_one_array_in_every_format(tmp_path, name, kind):
    """Its first spatial axis runs along a row, in 8 or 16 bits, gray or in color."""
    if (name, kind) in MISSING:
        pytest.skip(MISSING[name, kind])
    y, x = np.mgrid[:48, :32]  # smooth, for JPEG
    picture = (2 * x + 3 * y).astype(np.uint8)
    if kind == "16 bit":
        picture = picture.astype(np.uint16) * 256 + 7
    elif kind == "color":
        picture = np.stack([picture, picture // 2, 200 - picture], axis=-1)
    image = LoadCheckedImage(channels=3 if kind == "color" else 1)(WRITERS[name](tmp_path / "a", picture))
    expected = picture.T if kind == "color" else picture.T[None]
    assert image.shape == expected.shape
    assert np.abs(image.numpy() - expected).max() <= (4 if name == "jpeg" else 0)
    affine = np.diag([-1, -1, 1, 1]) if name not in ("png", "bmp", "jpeg") else np.eye(4)  # these have no geometry
    assert np.allclose(image.affine, affine)


def test_all_formats_in_one_batch(tmp_path):
    picture = np.arange(48, dtype=np.uint8).reshape(6, 8)
    paths = [write(tmp_path / name.replace(" ", "_"), picture) for name, write in WRITERS.items()]
    nib.save(nib.Nifti1Image(picture.T[:, :, None], np.eye(4)), tmp_path / "slice.nii.gz")
    items = [{"image": path} for path in (*paths, tmp_path / "slice.nii.gz")]
    loader = DataLoader(Dataset(items, LoadCheckedImaged("image", channels=1)), batch_size=len(items))
    assert next(iter(loader))["image"].shape == (10, 1, 8, 6)


def test_volume_of_one_slice_is_an_image_and_no_volume(write):
    path = write("slice.nii.gz", np.ones((16, 12, 1), dtype=np.float32))
    assert LoadCheckedImage(channels=1, spatial_dims=2)(path).shape == (1, 16, 12)
    with pytest.raises(InputError, match=r"slice.nii.gz: spatial shape \(16, 12, 1\) is a single slice"):
        LoadCheckedImage(channels=1, spatial_dims=3)(path)


@pytest.mark.parametrize("suffix", ["tif", "tiff", "TIF"])
def test_tiff_of_one_bit_a_pixel(tmp_path, suffix):
    pixels = np.zeros((8, 12), dtype=bool)
    pixels[2:4, 3:9] = True
    Image.fromarray(pixels).save(tmp_path / f"mask.{suffix}", format="TIFF")
    loaded = LoadCheckedImage(channels=1)(tmp_path / f"mask.{suffix}")
    assert np.array_equal(loaded.numpy()[0], pixels.T.astype(np.float32))


def test_tiff_with_a_palette_is_refused(tmp_path):
    Image.fromarray(np.arange(96, dtype=np.uint8).reshape(8, 12)).convert("P").save(tmp_path / "palette.tif")
    with pytest.raises(InputError, match=r"palette.tif: holds numbers of palette colours"):
        LoadCheckedImage(channels=1)(tmp_path / "palette.tif")


def test_monai_still_misreads_tiff_of_one_bit_a_pixel(tmp_path):
    """When this fails, BitmapTiffReader can go."""
    Image.fromarray(np.eye(8, dtype=bool)).save(tmp_path / "mask.tif")
    assert len(LoadImage(image_only=True, ensure_channel_first=True)(tmp_path / "mask.tif")) != 1


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
    with pytest.raises(
        InputError,
        match=r"cut_a\.dcm: pixel data \(.+\) cannot be decoded \(The number of bytes .*\); restore the file",
    ):
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


# ---------------------------------------------------------------- nothing of a header but geometry


def named(path, picture, name):
    """Write ``picture`` with "Doe^Jane" wherever the format has room for it."""
    if name == "nifti":
        image = nib.Nifti1Image(picture.T[:, :, None], np.eye(4))
        image.header["descrip"] = image.header["aux_file"] = image.header["db_name"] = b"Doe^Jane"
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Doe^Jane"))
        nib.save(image, path / "a.nii")
        return path / "a.nii"
    if name == "png":
        text = PngInfo()
        text.add_text("Comment", "Doe^Jane")
        exif = Image.Exif()
        exif[0x010E] = "Doe^Jane"
        Image.fromarray(picture).save(path / "a.png", pnginfo=text, exif=exif)
        return path / "a.png"
    if name == "dicom":
        return write_dicom(path / "a", picture, PatientName="Doe^Jane", ImageComments="Jane", StudyDescription="Doe")
    image = itk.image_from_array(picture)
    image["PatientName"] = "Doe^Jane"
    itk.imwrite(image, str(path / f"a.{name}"))
    return path / f"a.{name}"


@pytest.mark.parametrize("name", ["nifti", "png", "dicom", "mha", "nrrd"])
@pytest.mark.parametrize("reader", [None, "ITKReader"])
def test_names_in_a_header_do_not_come_along(tmp_path, grey, name, reader):
    path = named(tmp_path, grey, name)
    assert b"Doe^Jane" in path.read_bytes()
    image = LoadCheckedImage(channels=1, reader=reader)(path)
    kept = {"affine", "original_affine", "space", "spatial_shape", "original_channel_dim", "filename_or_obj", "dicom"}
    assert {str(getattr(key, "value", key)) for key in image.meta} <= kept
    assert "Jane" not in repr(image.meta)
    assert "Doe" not in repr(image.meta)
    assert image.meta["affine"].shape == (4, 4)
    assert ("dicom" in image.meta) == (name == "dicom" and reader is None)


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


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_as_a_viewer_turns_them(tmp_path, orientation, suffix):
    upright = np.zeros((40, 60, 3), dtype=np.uint8)
    upright[:20, :30] = 250  # its upper left quarter
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = Image.fromarray(upright) if back is None else Image.fromarray(upright).transpose(Image.Transpose(back))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{suffix}"
    stored.save(path, exif=exif)
    loaded = LoadCheckedImage(channels=3)(path)
    assert loaded.shape == (3, 60, 40)
    assert loaded[:, 2:28, 2:18].min() > 200
    assert loaded[:, 32:].max() < 50 > loaded[:, :, 22:].max()
