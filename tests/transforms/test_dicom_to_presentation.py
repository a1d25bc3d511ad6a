# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools

import numpy as np
import pydicom
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor, set_track_meta
from monai.transforms import Compose, Flipd, ScaleIntensity
from PIL import Image
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, apply_windowing

from monai_semise.data import DicomInfo
from monai_semise.transforms import (
    DicomToPresentation,
    DicomToPresentationD,
    DicomToPresentationd,
    DicomToPresentationDict,
    LoadCheckedImage,
    LoadCheckedImaged,
)
from monai_semise.transforms.dicom_to_presentation import apply_lookup_table, apply_window
from monai_semise.utils import InputError
from tests.data.dicom_files import bundled, item, make_dicom, write_dicom


def image_of(values, photometric="MONOCHROME2", **info):
    values = torch.tensor(values, dtype=torch.float32)
    return MetaTensor(values, meta={"dicom": DicomInfo(photometric, **info).to_text(), "filename_or_obj": "a.dcm"})


def present(values, photometric="MONOCHROME2", given=None, **info):
    """The values shown, with what the header says and a window given to the transform."""
    return DicomToPresentation(given)(image_of(values, photometric, **info)).tolist()


# ---------------------------------------------------------------- against pydicom


@pytest.mark.parametrize(
    "name",
    ["MR_small.dcm", "MR_small_bigendian.dcm", "examples_overlay.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm"],
)
def test_bundled_files_are_as_pydicom_shows_them(name):
    dataset = pydicom.dcmread(bundled(name))
    values = apply_modality_lut(dataset.pixel_array, dataset)
    expected = apply_voi_lut(values, dataset)  # from the smallest to the largest value that the bits can hold
    low, high = (apply_windowing(np.array([end]), dataset)[0] for end in (-1e9, 1e9))
    expected = (expected - low) / (high - low)
    if "PixelPaddingValue" in dataset:  # which pydicom leaves in
        expected[dataset.pixel_array == dataset.PixelPaddingValue] = 0
    image = DicomToPresentation()(LoadCheckedImage(channels=1)(bundled(name)))
    assert image.dtype == torch.float32
    assert np.abs(image[0].numpy() - expected.T).max() < 1e-6
    assert image.std() > 0.05


@given(
    st.floats(-3000, 3000),
    st.floats(1, 5000),
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    st.lists(st.integers(-5000, 5000), min_size=1),
)
def test_window_is_that_of_pydicom(center, width, function, values):
    elements = {"WindowCenter": round(center, 3), "WindowWidth": round(width, 3), "VOILUTFunction": function}
    dataset = make_dicom(np.array([values], np.int16), **elements)
    with np.errstate(over="ignore"):
        expected = (apply_windowing(np.array(values), dataset) + 2**15) / (2**16 - 1)
    found = apply_window(torch.tensor(values).double(), elements["WindowCenter"], elements["WindowWidth"], function)
    assert np.allclose(found.numpy(), expected, atol=1e-9)


@given(
    st.lists(st.integers(0, 4095), min_size=2, max_size=64),
    st.integers(-100, 100),
    st.lists(st.integers(-300, 300), min_size=1),
)
def test_lookup_table_is_that_of_pydicom(table, first, values):
    lut = item(LUTDescriptor=[len(table), first, 12])
    lut.add_new("LUTData", "US", table)
    dataset = make_dicom(np.array([values], np.int16), VOILUTSequence=[lut])
    expected = apply_voi_lut(np.array(values), dataset) / 4095
    assert np.allclose(apply_lookup_table(torch.tensor(values), table, first, 12).numpy(), expected, atol=1e-7)


def test_value_between_two_entries_goes_to_the_nearest():
    """pydicom cuts the fraction off, and says that the result may be wrong."""
    assert apply_lookup_table(torch.tensor([0.4, 0.6]), [0, 255], 0, 8).tolist() == [0, 1]


def test_lookup_table_of_a_file(tmp_path):
    pixels = np.array([[0, 5, 6, 7, 20]], dtype=np.uint16)
    lut = item(LUTDescriptor=[3, 5, 8])
    lut.add_new("LUTData", "US", [51, 255, 102])
    path = write_dicom(tmp_path / "a.dcm", pixels, VOILUTSequence=[lut], WindowCenter=5, WindowWidth=2)
    image = DicomToPresentation()(LoadCheckedImage(channels=1)(path))
    assert torch.allclose(image.flatten(), torch.tensor([0.2, 0.2, 1, 0.4, 0.4]))


@pytest.mark.parametrize(
    ("name", "bits"), [("examples_rgb_color.dcm", 8), ("SC_rgb_rle_16bit.dcm", 16), ("examples_palette.dcm", 16)]
)
def test_color_files(name, bits):
    dataset = pydicom.dcmread(bundled(name))
    pixels = dataset.pixel_array
    pixels = apply_color_lut(pixels, dataset) if pixels.ndim == 2 else pixels
    assert pixels.dtype.itemsize * 8 == bits
    image = DicomToPresentation()(LoadCheckedImage(channels=3)(bundled(name)))
    assert np.allclose(image.numpy(), pixels.T / (2**bits - 1))


# ---------------------------------------------------------------- which of them, and in which order


def test_lookup_table_goes_before_the_window_and_a_given_window_before_both():
    header = {"voi_lut": (255, 0), "voi_lut_bits": 8, "window": (2.5, 5.0)}
    assert present([0.0, 1, 4], **header) == [1, 0, 0]
    assert present([0.0, 1, 4], given=(1.5, 2), **header) == [0, 0.5, 1]
    assert present([0.0, 1, 4], window=(2.5, 5)) == [0, 0.25, 1]


def test_given_window_is_linear():
    sigmoid = image_of([0.0, 2, 4], window=(0, 1), voi_function="SIGMOID")
    assert DicomToPresentation((2.5, 5))(sigmoid).tolist() == [0, 0.5, 1]


def test_without_window_the_range_of_the_values():
    assert present([[-10.0, 0, 30]]) == [[0, 0.25, 1]]


def test_padding_is_not_part_of_that_range():
    assert present([-2000.0, -10, 0, 30], padding=(-2000.0, -2000.0)) == [0, 0, 0.25, 1]


@pytest.mark.parametrize("padding", [None, (7.0, 7.0)])
def test_constant_image_is_black(padding):
    assert present([7.0, 7], padding=padding) == [0, 0]


def test_monochrome1_is_inverted_after_the_window():
    assert present([-9.0, 0, 1, 4, 9], "MONOCHROME1", window=(2.5, 5)) == [1, 1, 0.75, 0, 0]
    assert present([0.0, 1], "MONOCHROME1", voi_lut=(51, 255), voi_lut_bits=8) == pytest.approx([0.8, 0])
    assert present([0.0, 1, 4], "MONOCHROME1") == [1, 0.75, 0]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_whatever_its_value(photometric):
    """Black would become white in MONOCHROME1, and a high padding value white in MONOCHROME2."""
    for low in (-2000.0, 4.0):
        shown = present([low, low + 1, 1], photometric, padding=(low, low + 1), window=(2.5, 5))
        assert shown == [0, 0, 0.75 if photometric == "MONOCHROME1" else 0.25]


def test_color_is_divided_by_what_its_bits_hold():
    assert present([0.0, 51, 255], "RGB", color_bits=8) == pytest.approx([0, 0.2, 1])
    assert present([0.0, 51, 255], "RGB", color_bits=8, window=(10, 10)) == pytest.approx([0, 0.2, 1])
    assert present([65535.0], "RGB", color_bits=16) == [1]


@pytest.mark.parametrize(
    ("function", "width"), [("LINEAR", 0), ("LINEAR", 0.5), ("LINEAR_EXACT", 0), ("SIGMOID", -1), ("LINEAR", np.nan)]
)
def test_window_without_width(function, width):
    with pytest.raises(InputError, match=rf"a\.dcm: its window has .* is no {function} window; give another one"):
        DicomToPresentation()(image_of([0.0], window=(5, float(width)), voi_function=function))
    assert DicomToPresentation((2.5, 5))(image_of([4.0], window=(5, float(width)))).tolist() == [1]


def test_window_of_width_1_is_a_threshold():
    assert present([4.0, 4.5, 5], window=(5, 1)) == [0, 0, 1]


def test_given_window_without_width():
    with pytest.raises(InputError, match="window has the center 5 and width 0"):
        DicomToPresentation((5, 0))


# ---------------------------------------------------------------- in MONAI


def test_what_is_not_dicom_stays():
    for image in (torch.tensor([7.0]), MetaTensor([7.0]), np.array([7.0])):
        assert DicomToPresentation()(image) is image


def test_twice_is_once():
    image = image_of(
        [0.0, 1, 4], "MONOCHROME1", padding=(0.0, 0.0), laterality="R", presentation_intent="FOR PROCESSING"
    )
    once = DicomToPresentation()(image)
    assert DicomToPresentation()(once) is once
    info = DicomInfo.of(once)
    assert info == DicomInfo("MONOCHROME2", laterality="R", presentation_intent="FOR PROCESSING", presented=True)


def test_image_stays_as_it_was_and_keeps_its_metadata():
    image = image_of([[[0.0, 1, 4]]], "MONOCHROME1")
    image.affine = torch.diag(torch.tensor([2.0, 3, 1, 1]))
    before, meta = image.clone(), dict(image.meta)
    shown = DicomToPresentation()(image)
    assert torch.equal(image.as_tensor(), before.as_tensor())
    assert image.meta["dicom"] == meta["dicom"]
    assert torch.equal(shown.affine, image.affine)
    assert shown.meta["filename_or_obj"] == "a.dcm"


def test_metadata_must_be_tracked():
    set_track_meta(False)
    try:
        with pytest.raises(InputError, match=r"DicomToPresentation: needs the image's metadata; .*set_track_meta"):
            DicomToPresentation()(torch.zeros(1))
    finally:
        set_track_meta(True)


def test_one_pipeline_for_png_and_dicom(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (6, 9), dtype=np.uint8)
    grey[0, :2] = 0, 255
    Image.fromarray(grey).save(tmp_path / "a.png")
    write_dicom(tmp_path / "a.dcm", 255 - grey, PhotometricInterpretation="MONOCHROME1")
    load = Compose([LoadCheckedImage(channels=1), DicomToPresentation(), ScaleIntensity()])
    assert torch.allclose(load(tmp_path / "a.png"), load(tmp_path / "a.dcm"), atol=1e-6)


def test_a_flip_may_go_before_it(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.array([[0, 1, 4], [2, 3, 9]], np.uint8), PixelPaddingValue=9)
    steps = [Flipd("image", 0), DicomToPresentationd("image")]
    shown = [
        Compose([LoadCheckedImaged("image", 1), *order])({"image": path})["image"] for order in (steps, steps[::-1])
    ]
    assert torch.equal(*shown)
    assert shown[0].tolist() == [[[1, 0], [0.25, 0.75], [0, 0.5]]]


def test_dictionary():
    data = {"image": image_of([0.0, 4]), "prior": image_of([0.0, 4]), "grade": 2}
    for keys, window in itertools.product(("image", ["image", "prior"]), (None, (2, 2))):
        result = DicomToPresentationd(keys, window)(data)
        for key in ("image", "prior"):
            expected = DicomToPresentation(window)(data[key]) if key in keys else data[key]
            assert torch.equal(result[key], expected)
        assert result["grade"] == 2
    assert data["image"].tolist() == [0, 4]
    with pytest.raises(KeyError, match="mask"):
        DicomToPresentationd(["image", "mask"])(data)
    assert "mask" not in DicomToPresentationd(["image", "mask"], allow_missing_keys=True)(data)


def test_aliases():
    assert DicomToPresentationD is DicomToPresentationDict is DicomToPresentationd
