# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset, ITKReader, MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Compose, LoadImage, LoadImaged
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from monai_semise.data import DicomInfo, DicomReader
from monai_semise.data.pixel_decoding import apply_color_lut, apply_modality_lut
from monai_semise.data.pydicom_versions import FILE_FORMAT, pixels
from monai_semise.transforms import LoadCheckedImage
from monai_semise.utils import InputError
from tests.data.dicom_files import (
    BUNDLED,
    SERIES,
    bundled,
    encapsulated_frames,
    item,
    make_dicom,
    write_dicom,
    write_series,
)

GRAY = [
    "693_J2KI.dcm",
    "CT_small.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "JPEG2000.dcm",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "MR_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_padded.dcm",
    "examples_overlay.dcm",
    "image_dfl.dcm",
    "liver_1frame.dcm",
    "rtdose.dcm",
    "rtdose_expb.dcm",
    "rtdose_rle.dcm",
]
COLOR = [
    "ExplVR_BigEnd.dcm",
    "SC_jpeg_no_color_transform.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+n2.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_small_odd.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_jpeg2k.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
]
OBLIQUE = np.array(
    [
        [0.7 * 0.36, 0.9 * -0.48, 2.5 * 0.8, -31.5],
        [0.7 * 0.8, 0.9 * 0.6, 0.0, 12.25],
        [0.7 * -0.48, 0.9 * 0.64, 2.5 * 0.6, 7.0],
        [0, 0, 0, 1],
    ]
)
"""LPS affine of a tilted volume with three different voxel sizes."""
SAGITTAL = np.array([[0, 0, -3.0, 40], [0.5, 0, 0, -20], [0, -0.75, 0, 10], [0, 0, 0, 1]])
"""LPS affine of slices from left to right: rows run backward, columns downward."""


def read(path):
    reader = DicomReader()
    return reader.get_data(reader.read(path))


def info_of(path):
    return DicomInfo.of(MetaTensor(torch.zeros(1), meta=read(path)[1]))


def to_ras(affine):
    return np.diag([-1, -1, 1, 1]) @ affine


def lut_of(*entries, first=0, bits=16):
    """Item of a VOI LUT sequence."""
    lut = item(LUTDescriptor=[len(entries), first, bits])
    lut.add_new("LUTData", "US", list(entries))
    return lut


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 4096, (6, 9), dtype=np.uint16)


@pytest.fixture(scope="module")
def volume():
    """Shape (columns, rows, slices)."""
    return np.random.default_rng(1).integers(-1000, 3000, (7, 5, 6), dtype=np.int16)


# ---------------------------------------------------------------- values: pydicom and ITK on pydicom's own files


@pytest.mark.parametrize("name", GRAY)
def test_values_are_those_of_pydicom(name):
    dataset = pydicom.dcmread(bundled(name))
    expected = apply_modality_lut(dataset.pixel_array, dataset).astype(np.float32).T
    values, meta = read(bundled(name))
    assert values.dtype == np.float32
    assert np.array_equal(values, expected)
    assert tuple(meta["spatial_shape"]) == expected.shape
    assert np.isnan(meta["original_channel_dim"])


@pytest.mark.parametrize("name", COLOR)
def test_color_is_that_of_pydicom(name):
    dataset = pydicom.dcmread(bundled(name))
    pixels = dataset.pixel_array  # RGB already, but for the palette
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
    values, meta = read(bundled(name))
    assert np.array_equal(values, np.moveaxis(pixels.T, 0, -1).astype(np.float32))
    assert tuple(meta["spatial_shape"]) == values.shape[:-1]
    assert meta["original_channel_dim"] == -1
    assert info_of(bundled(name)).photometric == "RGB"


ITK_DIFFERS = {
    "liver_1frame.dcm": "ITK shows bits as 0 and 255",
    "examples_palette.dcm": "ITK keeps the upper 8 of the table's 16 bits",
    "rtdose_expb.dcm": "ITK does not swap the bytes of 32 bit pixels",
    "SC_rgb_rle_16bit_2frame.dcm": "ITK cannot give RGB of 16 bits to Python",
}


@pytest.mark.parametrize("name", [name for name in GRAY + COLOR if name not in ITK_DIFFERS])
def test_values_and_geometry_are_those_of_itk(name):
    reader = ITKReader()
    expected, expected_meta = reader.get_data(reader.read(str(bundled(name))))
    values, meta = read(bundled(name))
    expected = expected.reshape(values.shape)  # ITK gives a single image a third axis of length 1
    # JPEG decoders may round differently: ITK's is GDCM, pydicom's may be Pillow
    lossy = "jpeg" in pydicom.dcmread(bundled(name)).file_meta.TransferSyntaxUID.name.lower()
    assert np.allclose(values, expected, atol=2 if lossy else 0)
    # along the normal, ITK takes the slice thickness; a single image has no such step, and dose planes have theirs in
    # a tag of their own
    assert np.allclose(meta["affine"][:, [0, 1, 3]], expected_meta["affine"][:, [0, 1, 3]], atol=1e-4)


@pytest.mark.parametrize("folder", ["77654033/CT2", "98892001/CT5N"])
@pytest.mark.filterwarnings("ignore:.*unevenly spaced")
def test_series_are_those_of_itk(folder):
    path = BUNDLED / "dicomdirtests" / folder
    if not path.is_dir():
        pytest.skip(f"this pydicom comes without {folder}")
    reader = ITKReader()
    expected, expected_meta = reader.get_data(reader.read(str(path)))
    values, meta = read(path)
    assert np.array_equal(values, expected)
    assert np.allclose(meta["affine"], expected_meta["affine"], atol=1e-4)


# ---------------------------------------------------------------- values: what no bundled file has


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_modality_lookup_table(tmp_path, syntax, dtype):
    limits = np.iinfo(dtype)
    pixels = np.linspace(limits.min, limits.max, 54).astype(dtype).reshape(6, 9)
    first, table = (-20 if dtype in (np.int8, np.int16) else 30), np.arange(100, dtype=np.uint16)[::-1] * 600
    lut = item(LUTDescriptor=[len(table), first, 16], ModalityLUTType="US")
    lut.add_new("LUTData", "US", table.tolist())
    path = write_dicom(tmp_path / "a.dcm", pixels, syntax=syntax, ModalityLUTSequence=[lut])
    expected = table[np.clip(pixels.astype(int) - first, 0, 99)]
    assert np.array_equal(read(path)[0], expected.T)


def test_rescaled_values_can_be_negative_and_fractional(tmp_path, picture):
    path = write_dicom(tmp_path / "a.dcm", picture, RescaleSlope="0.5", RescaleIntercept="-1024.25")
    assert np.array_equal(read(path)[0], picture.T * 0.5 - 1024.25)


def test_color_with_planes(tmp_path):
    color = np.random.default_rng(2).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    interleaved = write_dicom(tmp_path / "a.dcm", color)
    planes = write_dicom(tmp_path / "b.dcm", color, PlanarConfiguration=1, PixelData=color.transpose(2, 0, 1).tobytes())
    for path in (interleaved, planes):
        assert np.array_equal(read(path)[0], color.transpose(1, 0, 2))
        assert info_of(path).color_bits == 8


def test_monochrome1_is_left_for_the_presentation(tmp_path, picture):
    path = write_dicom(tmp_path / "a.dcm", picture, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read(path)[0], picture.T)
    assert info_of(path).photometric == "MONOCHROME1"


@pytest.mark.parametrize("photometric", ["HSV", "YBR_PARTIAL_420"])
def test_color_that_cannot_become_rgb(tmp_path, photometric):
    path = write_dicom(tmp_path / "a.dcm", np.zeros((4, 4, 3), np.uint8), PhotometricInterpretation=photometric)
    with pytest.raises(InputError, match=rf"a\.dcm: photometric interpretation {photometric} is not supported"):
        read(path)


# ---------------------------------------------------------------- padding


def test_padding(tmp_path):
    pixels = np.array([[-2000, -2000, -5], [0, 7, -2000]], dtype=np.int16)
    path = write_dicom(tmp_path / "a.dcm", pixels, PixelPaddingValue=-2000, RescaleSlope=2, RescaleIntercept=-1000)
    assert info_of(path).padding == (-5000, -5000)
    assert np.array_equal(read(path)[0], pixels.T * 2.0 - 1000)


@pytest.mark.parametrize("ends", [(0, 20), (20, 0)])
def test_padding_range(tmp_path, ends):
    pixels = np.array([[0, 10, 20], [21, 300, 5]], dtype=np.uint16)
    path = write_dicom(tmp_path / "a.dcm", pixels, PixelPaddingValue=ends[0], PixelPaddingRangeLimit=ends[1])
    assert info_of(path).padding == (0, 20)


def test_padding_written_as_unsigned(tmp_path):
    """As GE scanners do: the bits of -2000."""
    dataset = make_dicom(np.array([[-2000, 3]], dtype=np.int16))
    dataset.add_new("PixelPaddingValue", "US", 63536)
    pydicom.dcmwrite(tmp_path / "a.dcm", dataset, **FILE_FORMAT)
    assert info_of(tmp_path / "a.dcm").padding == (-2000, -2000)


@pytest.mark.parametrize("value", [None, -2000])
def test_no_padding(tmp_path, value):
    elements = {} if value is None else {"PixelPaddingValue": value}
    path = write_dicom(tmp_path / "a.dcm", np.array([[-1999, 3]], dtype=np.int16), **elements)
    assert info_of(path).padding is None


def test_padding_that_a_lookup_table_makes_equal_to_tissue_is_set_apart(tmp_path):
    pixels = np.array([[0, 1, 2, 3]], dtype=np.uint8)
    lut = item(LUTDescriptor=[4, 0, 8], ModalityLUTType="US")
    lut.add_new("LUTData", "US", [50, 60, 50, 40])
    path = write_dicom(tmp_path / "a.dcm", pixels, ModalityLUTSequence=[lut], PixelPaddingValue=0)
    assert read(path)[0].ravel().tolist() == [39, 60, 50, 40]
    assert info_of(path).padding == (39, 39)


def test_padding_of_slices_with_slopes_of_their_own(tmp_path):
    """As in PET: what pads one slice, is tissue in another."""
    pixels = np.array([[[0, 0], [3, 2]]], dtype=np.uint16)
    path = write_series(
        tmp_path / "s", pixels, np.eye(4), PixelPaddingValue=0, RescaleIntercept=[4, 0], RescaleSlope=[1, 2]
    )
    assert read(path)[0].tolist() == [[[-1, -1], [7, 4]]]
    assert info_of(path).padding == (-1, -1)


# ---------------------------------------------------------------- what is DICOM


@pytest.fixture
def files(tmp_path, picture):
    """Files of many kinds, by name."""
    write_dicom(tmp_path / "a.dcm", picture)
    write_dicom(tmp_path / "a.dicom", picture)
    write_dicom(tmp_path / "none", picture)
    write_dicom(tmp_path / "misnamed.png", picture)
    dataset = make_dicom(picture)
    for name, implicit, little in (("le", False, True), ("be", False, False), ("implicit", True, True)):
        bare = pydicom.Dataset(dataset)
        bare.PixelData = picture.astype("<u2" if little else ">u2").tobytes()
        bare.save_as(tmp_path / f"bare_{name}", implicit_vr=implicit, little_endian=little)
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "b.png")
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "b.tif")
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "misnamed.dcm", format="PNG")
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), tmp_path / "b.nii")
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "text.dcm").write_text("DICM")
    (tmp_path / "group.dcm").write_bytes(b"\x08\0" + bytes(200))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "LICENSE.txt").write_text("free")
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "LICENSE.txt").write_text("free")
    write_dicom(tmp_path / "series" / "none", picture)
    return tmp_path


DICOM_FILES = ["a.dcm", "a.dicom", "none", "misnamed.png", "bare_le", "bare_be", "bare_implicit", "series"]
OTHER_FILES = ["b.png", "b.tif", "misnamed.dcm", "b.nii", "empty.dcm", "text.dcm", "group.dcm", "folder", "missing.dcm"]


def test_told_by_content(files):
    reader = DicomReader()
    assert [name for name in DICOM_FILES if not reader.verify_suffix(files / name)] == []
    assert [name for name in OTHER_FILES if reader.verify_suffix(str(files / name))] == []
    assert reader.verify_suffix([files / "a.dcm", files / "none"])
    assert not reader.verify_suffix([files / "a.dcm", files / "b.png"])


@pytest.mark.parametrize("name", DICOM_FILES)
def test_every_kind_of_file_is_read(files, picture, name):
    assert np.array_equal(read(files / name)[0], picture.T)


@pytest.mark.parametrize("name", OTHER_FILES[:-1])
def test_not_dicom(files, name):
    what = "holds no DICOM file" if name == "folder" else "is not a DICOM file"
    with pytest.raises(InputError, match=rf"{name}: {what}"):
        DicomReader().read(files / name)


def test_in_monais_loader(files, picture):
    load = LoadImage(ensure_channel_first=True)
    load.register(DicomReader())
    for name in ("none", "misnamed.png"):
        assert np.array_equal(load(files / name)[0], picture.T)
    assert np.array_equal(load(files / "b.png")[0], picture.astype(np.uint8).T)  # PILReader
    by_name = LoadImage(reader="monai_semise.data.DicomReader", ensure_channel_first=True)
    assert np.array_equal(by_name(files / "none")[0], picture.T)
    assert by_name(files / "none").meta["dicom"]


def test_several_files_are_channels(files, picture):
    image = LoadImage(reader=DicomReader(), ensure_channel_first=True)([files / "a.dcm", files / "none"])
    assert np.array_equal(image, np.stack([picture.T] * 2))
    color = write_dicom(files / "color", np.zeros((6, 9, 3), np.uint8))
    assert LoadImage(reader=DicomReader(), ensure_channel_first=True)([color, color]).shape == (6, 9, 6)
    window = write_dicom(files / "window", picture, WindowCenter=1, WindowWidth=2)
    size = write_dicom(files / "size", picture[1:])
    spacing = write_dicom(files / "spacing", picture, PixelSpacing=[2, 2])
    for other in (color, window, size, spacing):
        with pytest.raises(InputError, match=rf"{other.name}: differs from .*a\.dcm .*ConcatItemsd"):
            read([files / "a.dcm", other])


# ---------------------------------------------------------------- damaged files, and decoders that are not there


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_rle_2frame.dcm",
        "image_dfl.dcm",
    ],
)
@pytest.mark.filterwarnings("ignore:End of file reached")
def test_cut_file_is_an_error_or_has_all_its_pixels(tmp_path_factory, name):
    content = bundled(name).read_bytes()
    whole = read(bundled(name))[0]
    path = tmp_path_factory.mktemp("cut") / "cut.dcm"

    @given(st.integers(132, len(content) - 1))
    def check(length):
        path.write_bytes(content[:length])
        try:
            values, message = read(path)[0], ""
        except InputError as error:
            values, message = None, str(error)
        if values is None:
            assert message.startswith(f"{path}: ")
            assert "\n" not in message
        else:
            assert np.array_equal(values, whole)

    check()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"cut\.dcm: .*; restore the file"):
        read(path)


def test_too_few_bytes_of_pixels():
    path = bundled("MR_truncated.dcm")
    with pytest.raises(InputError, match=r"MR_truncated\.dcm: pixel data .*less than expected \(8130 vs 8192 bytes\)"):
        read(path)


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm"])
def test_cut_codestream(tmp_path, name):
    """The DICOM file is whole, what a camera or a converter put into it is not."""
    dataset = pydicom.dcmread(bundled(name))
    (frame,) = encapsulated_frames(dataset, 1)
    dataset.PixelData = encapsulate([frame[: len(frame) // 4 * 2]])
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(InputError, match=r"a\.dcm: pixel data \(.+\) cannot be decoded \(.+\); restore the file"):
        read(tmp_path / "a.dcm")


def test_missing_frame(tmp_path):
    dataset = pydicom.dcmread(bundled("SC_rgb_rle_2frame.dcm"))
    frames = encapsulated_frames(dataset, 2)
    dataset.PixelData = encapsulate(frames[:1])
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(InputError, match=r"a\.dcm: .*\(it has fewer frames than the header says\)"):
        read(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("element", "value"), [("ImageOrientationPatient", [1, 0, 0]), ("WindowCenter", "bright"), ("Rows", None)]
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_unusable_header(tmp_path, picture, element, value):
    dataset = make_dicom(picture, WindowWidth=3)
    if value is None:
        delattr(dataset, element)
    elif isinstance(value, str):
        dataset.add_new(element, "LO", value)
    else:
        setattr(dataset, element, value)
    pydicom.dcmwrite(tmp_path / "a.dcm", dataset, **FILE_FORMAT)
    with pytest.raises(InputError, match=r"a\.dcm: .*cannot be (read as DICOM|decoded) \(.+\); restore the file"):
        read(tmp_path / "a.dcm")


def test_no_pixels(tmp_path, picture):
    path = write_dicom(tmp_path / "a.dcm", picture, PixelData=None)
    with pytest.raises(InputError, match=r"a\.dcm: has no pixel data, or is cut short; restore the file"):
        read(path)


def test_transfer_syntax_that_nothing_decodes(tmp_path, picture):
    dataset = make_dicom(picture)
    for syntax, name in ((MPEG2MPML, "MPEG2 Main Profile"), (UID("1.2.3.4"), "1.2.3.4")):
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([b"\0\0"])
        dataset["PixelData"].VR = "OB"
        pydicom.dcmwrite(tmp_path / "a.dcm", dataset, implicit_vr=False, little_endian=True)
        with pytest.raises(InputError, match=rf"a\.dcm: nothing decodes its transfer syntax, {name}.*; convert"):
            read(tmp_path / "a.dcm")


MISSING = """
import sys
for name in ("gdcm", "libjpeg", "openjpeg", "rle", "jpeg_ls", "pylibjpeg"):
    sys.modules[name] = None
from monai.transforms import LoadImage
from monai_semise.transforms import LoadCheckedImage
for load in (LoadCheckedImage(1), LoadImage(reader="monai_semise.data.DicomReader")):
    try:
        load(sys.argv[1])
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_missing_decoder():
    """Which is told at once; MONAI's loader must not go on to another reader."""
    path = str(BUNDLED / "MR_small_jpeg_ls_lossless.dcm")
    done = subprocess.run(
        [sys.executable, "-c", MISSING, path], capture_output=True, text=True, timeout=120, check=True
    )
    messages = done.stdout.splitlines()
    assert len(messages) == 2
    for message in messages:
        assert message.startswith(
            f"InputError {path}: no decoder for its transfer syntax, JPEG-LS Lossless Image Compression, is installed; "
            'use pip install "monai-semise[dicom]" (not installed: gdcm'
        )


def test_decoder_that_cannot_do_it():
    """12 bit lossy JPEG: only a package under the GPL decodes it, which is not in the extra."""
    path = BUNDLED / "JPEG-lossy.dcm"
    if "pylibjpeg" in pixels.get_decoder(pydicom.dcmread(path).file_meta.TransferSyntaxUID).available_plugins:
        assert read(path)[0].shape == (256, 1024)
    else:
        with pytest.raises(InputError, match=r"lossy\.dcm: pixel data \(JPEG Extended .* 12-bit .*pylibjpeg-libjpeg"):
            read(path)


# ---------------------------------------------------------------- geometry


def test_single_image_has_no_third_axis_and_no_warning(tmp_path, picture):
    path = write_dicom(tmp_path / "a.dcm", picture, ImagerPixelSpacing=[0.2, 0.1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values, meta = read(path)
    assert values.shape == (9, 6)
    assert np.allclose(meta["affine"], np.diag([-0.1, -0.2, 1, 1]))
    assert np.array_equal(meta["affine"], meta["original_affine"])
    assert meta["space"] == "RAS"


def test_pixel_spacing_goes_first(tmp_path, picture):
    """It is calibrated; the spacing at the detector is not."""
    path = write_dicom(tmp_path / "a.dcm", picture, ImagerPixelSpacing=[0.2, 0.1], PixelSpacing=[0.6, 0.5])
    assert np.allclose(read(path)[1]["affine"], np.diag([-0.5, -0.6, 1, 1]))


def test_single_slice_has_its_place_in_the_patient(tmp_path, picture):
    axes = SAGITTAL[:3, :2] / [0.5, 0.75]
    path = write_dicom(
        tmp_path / "a.dcm",
        picture,
        PixelSpacing=[0.75, 0.5],
        ImageOrientationPatient=axes.T.ravel().tolist(),
        ImagePositionPatient=SAGITTAL[:3, 3].tolist(),
    )
    expected = to_ras(SAGITTAL) @ np.diag([1, 1, 1 / 3, 1])  # 1 mm along the normal
    assert np.allclose(read(path)[1]["affine"], expected)


@pytest.mark.parametrize("elements", [{"ImageOrientationPatient": [0] * 6}, {"PixelSpacing": [0, 0]}])
def test_zeros_stand_for_unknown(tmp_path, picture, elements):
    path = write_dicom(tmp_path / "a.dcm", picture, **elements)
    assert np.allclose(read(path)[1]["affine"], np.diag([-1, -1, 1, 1]))


@pytest.mark.parametrize("affine", [np.diag([2, 3, 4, 1.0]), OBLIQUE, SAGITTAL])
def test_series_is_the_nifti_volume(tmp_path, volume, affine):
    """Whatever the files' names and instance numbers."""
    nifti = tmp_path / "v.nii.gz"
    nib.save(nib.Nifti1Image(volume, to_ras(affine)), nifti)
    series = write_series(tmp_path / "s", volume, affine)
    load = LoadCheckedImage(channels=1, spatial_dims=3)
    assert np.array_equal(load(series), load(nifti))
    assert np.allclose(load(series).affine, load(nifti).affine, atol=1e-5)


def test_sheared_series(tmp_path, volume):
    """A tilted gantry: slices move along their own plane too."""
    sheared = OBLIQUE.copy()
    sheared[:3, 2] += 0.8 * OBLIQUE[:3, 1]
    assert np.allclose(read(write_series(tmp_path / "s", volume, sheared))[1]["affine"], to_ras(sheared), atol=1e-5)


def test_series_written_from_the_top(tmp_path, volume):
    """The third axis always runs along the normal of the slices."""
    downward = OBLIQUE @ np.diag([1, 1, -1, 1])
    values, meta = read(write_series(tmp_path / "s", volume, downward))
    assert np.array_equal(values, volume[:, :, ::-1])
    last = OBLIQUE[:3, 3] - (volume.shape[2] - 1) * OBLIQUE[:3, 2]
    assert np.allclose(meta["affine"][:3, 3], to_ras(np.eye(4))[:3, :3] @ last, atol=1e-5)
    assert np.allclose(meta["affine"][:3, :3], to_ras(OBLIQUE)[:3, :3], atol=1e-5)


def test_instance_numbers_order_slices_without_position(tmp_path, volume):
    path = write_series(tmp_path / "s", volume, np.eye(4))
    for file in path.iterdir():
        dataset = pydicom.dcmread(file)
        del dataset.ImagePositionPatient
        dataset.save_as(file)
    values, meta = read(path)
    assert np.array_equal(values, volume[:, :, ::-1])
    assert np.allclose(meta["affine"], np.diag([-1, -1, 1, 1]))


def test_index_of_the_disk_is_no_slice(tmp_path, volume):
    path = write_series(tmp_path / "s", volume, np.eye(4))
    write_dicom(path / "DICOMDIR", np.zeros((1, 1), np.uint8), PixelData=None)
    assert np.array_equal(read(path)[0], volume)


def test_folder_with_one_image(tmp_path, picture):
    (tmp_path / "s").mkdir()
    write_dicom(tmp_path / "s" / "a", picture)
    assert np.array_equal(read(tmp_path / "s")[0], picture.T)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ({"SeriesInstanceUID": [SERIES] * 5 + ["1.2.3"]}, r"s: its slices differ in series \(2 found\); give each"),
        ({"ImageOrientationPatient": [[1, 0, 0, 0, 1, 0]] * 5 + [[0, 1, 0, 0, 0, 1]]}, "slices differ in orientation"),
        ({"PixelSpacing": [[1, 1]] * 5 + [[1, 2]]}, "its slices differ in pixel spacing"),
        ({"PhotometricInterpretation": ["MONOCHROME2"] * 5 + ["MONOCHROME1"]}, "differ in photometric interpretation"),
        ({"ImagePositionPatient": [[0, 0, n // 2] for n in range(6)]}, "3 of its 6 slices are at the place of another"),
        ({"ImagePositionPatient": [[0, 0, 1]] * 6}, "5 of its 6 slices are at the place of another"),
        ({"VOILUTFunction": ["LINEAR"] * 5 + ["SIGMOID"]}, "its slices differ in VOI LUT"),
        ({"VOILUTSequence": [[lut_of(0, 1)]] * 5 + [[lut_of(0, 2)]]}, "its slices differ in VOI LUT"),
    ],
)
def test_folder_that_is_no_volume(tmp_path, volume, elements, message):
    path = write_series(tmp_path / "s", volume, np.eye(4), **elements)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert "1.2.3" not in str(caught.value)  # identifiers stay where they are


def test_folder_of_several_sizes(tmp_path, volume):
    path = write_series(tmp_path / "s", volume, np.eye(4))
    write_dicom(path / "z", np.zeros((9, 9), np.int16), ImagePositionPatient=[0, 0, 9])
    with pytest.raises(InputError, match=r"s: its slices differ in size \(2 found\)"):
        read(path)


@pytest.mark.parametrize(
    ("removed", "kept", "message"),
    [
        ("ImagePositionPatient", 1, "5 of its 6 slices have no position; remove them"),
        ("InstanceNumber", 0, "its slices have neither positions nor distinct instance numbers"),
        ("InstanceNumber", 3, "its slices have neither positions nor distinct instance numbers"),
        ("InstanceNumber", 6, "its slices have neither positions nor distinct instance numbers"),  # all the same
    ],
)
def test_slices_without_order(tmp_path, volume, removed, kept, message):
    path = write_series(tmp_path / "s", volume, np.eye(4), InstanceNumber=1)
    for n, file in enumerate(sorted(path.iterdir())):
        dataset = pydicom.dcmread(file)
        if removed == "InstanceNumber":
            del dataset.ImagePositionPatient
        if n >= kept:
            delattr(dataset, removed)
        dataset.save_as(file)
    with pytest.raises(InputError, match=message):
        read(path)


def test_missing_slice_is_told(tmp_path, volume):
    positions = [[0, 0, z] for z in (0, 1, 2, 3, 5, 6)]
    path = write_series(tmp_path / "s", volume, np.eye(4), ImagePositionPatient=positions)
    with pytest.warns(UserWarning, match=r"s: slices are missing or unevenly spaced"):
        values, meta = read(path)
    assert np.array_equal(values, volume)
    assert np.allclose(meta["affine"][2, 2], 6 / 5)


def test_damaged_slice_is_named(tmp_path, volume):
    path = write_series(tmp_path / "s", volume, np.eye(4))
    content = (path / "003").read_bytes()
    (path / "003").write_bytes(content[:-9])
    with pytest.raises(InputError, match=r"s.003: pixel data .*less than expected"):
        read(path)


# ---------------------------------------------------------------- several frames in one file


def enhanced(volume, affine, order, **per_frame):
    """An enhanced multi-frame dataset, whose frames come in the order given."""
    spacing = np.linalg.norm(affine[:3, :2], axis=0)
    axes = (affine[:3, :2] / spacing).T.ravel().round(10).tolist()
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=axes)],
        PixelMeasuresSequence=[item(PixelSpacing=spacing[::-1].round(6).tolist())],
        FrameAnatomySequence=[item(FrameLaterality="R")],
    )
    frames = []
    for n in order:
        position = (affine[:3, 3] + n * affine[:3, 2]).round(6).tolist()
        sequences = {keyword: [values[n]] for keyword, values in per_frame.items()}
        frames.append(item(PlanePositionSequence=[item(ImagePositionPatient=position)], **sequences))
    return make_dicom(
        volume.transpose(2, 1, 0)[order],
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
    )


@pytest.fixture
def write_enhanced(tmp_path, volume):
    def write(order=(4, 0, 2, 5, 1, 3), affine=OBLIQUE, **per_frame):
        path = tmp_path / "enhanced.dcm"
        pydicom.dcmwrite(path, enhanced(volume, affine, list(order), **per_frame), **FILE_FORMAT)
        return path

    return write


def test_enhanced_frames_are_a_volume(write_enhanced, volume):
    values, meta = read(write_enhanced())
    assert np.array_equal(values, volume)
    assert np.allclose(meta["affine"], to_ras(OBLIQUE), atol=1e-5)
    assert info_of(write_enhanced()).laterality == "R"


def test_enhanced_frames_are_rescaled_each_by_its_own(write_enhanced, volume):
    slopes = np.arange(1, 7) / 2
    transformation = [item(RescaleSlope=slope, RescaleIntercept=n, RescaleType="US") for n, slope in enumerate(slopes)]
    values = read(write_enhanced(PixelValueTransformationSequence=transformation))[0]
    assert np.array_equal(values, volume * slopes + np.arange(6))


def test_windows_of_frames_become_one_that_covers_them(write_enhanced, tmp_path, volume):
    windows = [item(WindowCenter=[50 + n, 7], WindowWidth=[100, 7]) for n in range(6)]
    assert info_of(write_enhanced(FrameVOILUTSequence=windows)).window == (52.5, 105)
    assert info_of(write_enhanced(FrameVOILUTSequence=[windows[0]] * 6)).window == (50, 100)
    series = write_series(tmp_path / "s", volume, np.eye(4), WindowCenter=[0, 1, 2, 3, 4, 5], WindowWidth=100)
    assert info_of(series).window == (2.5, 105)


def test_enhanced_frames_that_are_no_volume(write_enhanced, volume):
    sideways = [item(ImageOrientationPatient=axes) for axes in ([1, 0, 0, 0, 1, 0], *[[0, 1, 0, 0, 0, 1]] * 5)]
    with pytest.raises(InputError, match=r"enhanced\.dcm: its slices differ in orientation"):
        read(write_enhanced(PlaneOrientationSequence=sideways))
    with pytest.raises(InputError, match=r"enhanced\.dcm: 1 of its 6 slices are at the place of another"):
        read(write_enhanced(order=(4, 0, 2, 2, 1, 3)))


@pytest.mark.parametrize("placed", [False, True])
def test_cine_keeps_its_order(tmp_path, write_enhanced, volume, placed):
    """Frames without a place, or all at one."""
    affine = np.diag([0.5, 0.25, 0, 1.0])
    if placed:
        path, order = write_enhanced(affine=affine), [4, 0, 2, 5, 1, 3]
    else:
        frames = volume.transpose(2, 1, 0)
        path, order = write_dicom(tmp_path / "cine.dcm", frames, PixelSpacing=[0.25, 0.5]), slice(None)
    values, meta = read(path)
    assert np.array_equal(values, volume[:, :, order])
    assert np.allclose(meta["affine"], np.diag([-0.5, -0.25, 1, 1]))


def test_whole_slide_image_is_refused(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", np.zeros((2, 4, 4), np.uint8), TotalPixelMatrixColumns=8)
    with pytest.raises(InputError, match=r"a\.dcm: is a tiled whole-slide image"):
        read(path)


# ---------------------------------------------------------------- metadata


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({}, {"laterality": None, "presentation_intent": None, "window": None, "voi_function": "LINEAR"}),
        ({"ImageLaterality": "L", "Laterality": "R"}, {"laterality": "L"}),
        ({"Laterality": "R"}, {"laterality": "R"}),
        ({"ImageLaterality": "", "Laterality": "B"}, {"laterality": "B"}),
        ({"ImageLaterality": "JANE"}, {"laterality": None}),
        ({"PresentationIntentType": "FOR PROCESSING"}, {"presentation_intent": "FOR PROCESSING"}),
        ({"PresentationIntentType": "FOR JANE"}, {"presentation_intent": None}),
        ({"WindowCenter": [40, 300], "WindowWidth": [80, 900]}, {"window": (40, 80)}),
        ({"WindowCenter": "", "WindowWidth": ""}, {"window": None}),
        ({"WindowCenter": 3}, {"window": None}),
        ({"WindowCenter": 3, "WindowWidth": 4, "VOILUTFunction": "SIGMOID"}, {"voi_function": "SIGMOID"}),
    ],
)
def test_info(tmp_path, picture, elements, expected):
    info = info_of(write_dicom(tmp_path / "a.dcm", picture, **elements))
    assert {name: getattr(info, name) for name in expected} == expected


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("vr", ["US", "OW"])
def test_voi_lookup_table(tmp_path, picture, syntax, vr):
    table = [0, 100, 4095, 7]
    lut = item(LUTDescriptor=[4, 11, 12])
    data = np.array(table, "<u2" if syntax.is_little_endian else ">u2").tobytes() if vr == "OW" else table
    lut.add_new("LUTData", vr, data)
    info = info_of(write_dicom(tmp_path / "a.dcm", picture, syntax=syntax, VOILUTSequence=[lut, lut]))
    assert (info.voi_lut, info.voi_lut_first, info.voi_lut_bits) == (tuple(table), 11, 12)


def test_voi_lookup_table_of_bytes(tmp_path, picture):
    lut = item(LUTDescriptor=[4, 0, 8])
    lut.add_new("LUTData", "OW", bytes([0, 9, 255, 7]))
    assert info_of(write_dicom(tmp_path / "a.dcm", picture, VOILUTSequence=[lut])).voi_lut == (0, 9, 255, 7)


@pytest.mark.parametrize(("count", "bits"), [(5, 12), (4, 8)])
def test_unusable_voi_lookup_table(tmp_path, picture, count, bits):
    lut = item(LUTDescriptor=[count, 0, bits])
    lut.add_new("LUTData", "US", [0, 100, 4095, 7])
    path = write_dicom(tmp_path / "a.dcm", picture, VOILUTSequence=[lut])
    with pytest.raises(InputError, match=rf"a\.dcm: .*VOI LUT has 4 entries up to 4095, not {count} of {bits} bits"):
        read(path)


def test_unknown_voi_function(tmp_path, picture):
    path = write_dicom(tmp_path / "a.dcm", picture, VOILUTFunction="JANE")
    with pytest.raises(InputError, match=r"a\.dcm: its VOI LUT Function is none of LINEAR, .*") as caught:
        read(path)
    assert "JANE" not in str(caught.value)


def test_nothing_of_a_patient_gets_through(tmp_path, volume):
    planted = {
        "PatientName": "Doe^Jane",
        "PatientID": "P-4711",
        "PatientBirthDate": "19470811",
        "StudyDate": "20240229",
        "AccessionNumber": "ACC0815",
        "InstitutionName": "St. Elsewhere",
        "ReferringPhysicianName": "House^G",
        "ImageComments": "Jane has a scar",
        "ContentDescription": "Jane",
    }
    folder = write_series(tmp_path / "s", volume, np.eye(4), **planted)
    dataset = enhanced(volume, np.eye(4), list(range(6)))
    for keyword, value in planted.items():
        setattr(dataset, keyword, value)
    dataset.PerFrameFunctionalGroupsSequence[0].FrameContentSequence = [item(FrameComments="Jane")]
    dataset.add_new(0x00091001, "LO", "private Jane")
    pydicom.dcmwrite(tmp_path / "e.dcm", dataset, **FILE_FORMAT)
    for path in (folder, next(folder.iterdir()), tmp_path / "e.dcm"):
        image = LoadImage(reader=DicomReader())(path)
        found = repr({**image.meta, "filename_or_obj": ""})
        for value in (*planted.values(), "Jane", "Doe", str(SERIES)):
            assert value not in found
        # not even between the reader's two steps
        assert not any(
            "PatientName" in dataset for source in DicomReader().read(path) for _, dataset in source.datasets
        )


def test_metadata_can_be_saved_and_loaded_safely(tmp_path, picture):
    path = write_dicom(tmp_path / "a.dcm", picture, WindowCenter=3, WindowWidth=4)
    image = LoadImage(reader=DicomReader())(path)
    torch.save({"meta": {k: v for k, v in image.meta.items() if k == "dicom"}}, tmp_path / "a.pt")
    loaded = torch.load(tmp_path / "a.pt", weights_only=True)
    assert loaded["meta"]["dicom"] == image.meta["dicom"]
    assert json.loads(image.meta["dicom"])["window"] == [3, 4]


def test_collation(tmp_path, picture):
    """Headers that differ in everything, a lookup table, and an image without a header."""
    paths = [
        write_dicom(tmp_path / "a", picture),
        write_dicom(tmp_path / "b", picture, WindowCenter=3, WindowWidth=4, ImageLaterality="R", PixelPaddingValue=1),
        write_dicom(tmp_path / "c", picture, VOILUTSequence=[lut_of(0, 100, 4095, 7)]),
    ]
    load = Compose([LoadImaged("image", reader=DicomReader(), ensure_channel_first=True)])
    items = [load({"image": path}) for path in paths]
    batch = list_data_collate(items)
    assert [DicomInfo.of(part["image"]) for part in decollate_batch(batch)] == [DicomInfo.of(i["image"]) for i in items]
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "d.png")
    mixed = [{"image": path} for path in (*paths, tmp_path / "d.png")]
    loader = LoadCheckedImage(channels=1)
    batch = next(iter(DataLoader(Dataset(mixed, lambda data: {"image": loader(data["image"])}), batch_size=4)))
    assert batch["image"].shape == (4, 1, 9, 6)
