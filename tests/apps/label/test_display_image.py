# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_semise.apps.label.display_image import load_display_image
from monai_semise.utils import InputError
from tests.data.dicom_files import write_dicom


def restored(image, number=0):
    """The values that a page computes from what it is sent."""
    most = 65535 if image.values.dtype == np.uint16 else 255
    sent = np.frombuffer(image.slice_bytes(number), image.values.dtype.newbyteorder("<"))
    return image.low + sent.reshape(image.values.shape[1:]) / most * (image.high - image.low)


def test_gray_picture(tmp_path):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)  # rows, columns
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = load_display_image(tmp_path / "a.png")
    assert image.description() == {
        "slices": 1, "height": 3, "width": 4, "channels": 1, "low": 0.0, "high": 11.0,
        "window_center": 5.5, "window_width": 11.0, "inverted": False, "aspect": 1.0,
    }  # fmt: skip
    assert restored(image)[..., 0] == pytest.approx(pixels, abs=1e-3)
    with pytest.raises(InputError, match="slice: 1 is not between 0 and 0"):
        image.slice_bytes(1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_color_picture(tmp_path, mode):
    pixels = np.random.default_rng(0).integers(256, size=(3, 4, len(mode)), dtype=np.uint8)
    Image.fromarray(pixels, mode).save(tmp_path / "a.png")
    image = load_display_image(tmp_path / "a.png")
    assert (image.values.shape, image.values.dtype) == ((1, 3, 4, 3), np.uint8)
    assert np.array_equal(image.values[0], pixels[..., :3])


def test_volume_is_cut_as_a_radiologist_expects(tmp_path):
    volume = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    # x to the patient's right, y to anterior: both are turned round; pixels twice as high as wide
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([1.0, 2.0, 3.0, 1.0])), tmp_path / "a.nii")
    image = load_display_image(tmp_path / "a.nii")
    assert image.values.shape == (6, 5, 4, 1)
    assert image.aspect == 2.0
    assert restored(image, 2)[..., 0] == pytest.approx(volume[::-1, ::-1, 2].T, abs=1e-3)
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([-1.0, -2.0, 3.0, 1.0])), tmp_path / "b.nii")
    assert restored(load_display_image(tmp_path / "b.nii"), 2)[..., 0] == pytest.approx(volume[..., 2].T, abs=1e-3)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_dicom_keeps_its_values_and_window(tmp_path, photometric):
    pixels = np.random.default_rng(0).integers(4096, size=(3, 4), dtype=np.uint16)
    pixels[0, 0] = 60000
    write_dicom(
        tmp_path / "a.dcm",
        pixels,
        PhotometricInterpretation=photometric,
        RescaleSlope=2.0,
        RescaleIntercept=-1000.0,
        WindowCenter=40.0,
        WindowWidth=400.0,
        PixelPaddingValue=60000,
    )
    image = load_display_image(tmp_path / "a.dcm")
    values = 2.0 * pixels - 1000
    dark = values[pixels < 60000].max() if photometric == "MONOCHROME1" else values[pixels < 60000].min()
    values[0, 0] = dark
    assert restored(image)[..., 0] == pytest.approx(values, abs=0.1)
    assert (image.window_center, image.window_width) == (40.0, 400.0)
    assert image.inverted == (photometric == "MONOCHROME1")


def test_dicom_with_a_curve_comes_as_a_viewer_shows_it(tmp_path):
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    elements = {"WindowCenter": 6.0, "WindowWidth": 4.0, "VOILUTFunction": "SIGMOID"}
    write_dicom(tmp_path / "a.dcm", pixels, **elements)
    image = load_display_image(tmp_path / "a.dcm")
    assert restored(image)[..., 0] == pytest.approx(1 / (1 + np.exp(6.0 - pixels)), abs=1e-4)
    assert (image.low, image.high, image.window_center, image.window_width) == (0, 1, 0.5, 1)


def test_no_image(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(InputError, match=r"a\.png: cannot be read as an image"):
        load_display_image(tmp_path / "a.png")
