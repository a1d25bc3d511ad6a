# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itk
import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from monai_semise.apps.datasets.examine import examine_images
from monai_semise.data.collection import ProblemKind, Record
from tests.apps.datasets.files import COLUMNS, ROWS, SECRETS, pixels, write_dicom, write_image, write_mask

BLACK, MISSING, UNREADABLE = ProblemKind.BLACK, ProblemKind.MISSING, ProblemKind.UNREADABLE
MASK_SIZE, MASK_OVERLAP = ProblemKind.MASK_SIZE, ProblemKind.MASK_OVERLAP


def examine(*images, **kwargs):
    """What is found in images, given as paths or records."""
    records = [image if isinstance(image, Record) else Record(image) for image in images]
    return examine_images(records, progress=False, **kwargs)


def write(path, values):
    """Write pixel values, of shape (rows, columns[, channels]) or (x, y, z), in the format that the name tells."""
    if path.name.endswith((".nii", ".nii.gz")):
        nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    elif path.suffix in (".nrrd", ".mha"):
        itk.imwrite(itk.image_from_array(values), str(path))
    else:
        Image.fromarray(values).save(path)
    return path


def write_values(path, values):
    """DICOM with exactly these values."""
    dataset = pydicom.dcmread(write_dicom(path, bits=8 * values.itemsize, BitsAllocated=8 * values.itemsize))
    dataset.PixelData = values.tobytes()
    dataset.save_as(path)
    return path


@pytest.fixture
def grey():
    return np.random.default_rng(0).integers(0, 256, (ROWS, COLUMNS), dtype=np.uint8)


# ---------------------------------------------------------------- digests


def test_equal_pixels_have_one_digest_in_every_format(tmp_path, grey):
    alike = [write(tmp_path / f"grey.{suffix}", grey) for suffix in ("png", "tif", "bmp")]
    alike.append(write(tmp_path / "color.png", np.stack([grey] * 3, axis=-1)))
    alike.append(write_values(tmp_path / "grey.dcm", grey))
    found = examine(*alike)
    assert [one.kind for one in found] == [None] * 5
    assert len({one.digest for one in found}) == 1


@pytest.mark.parametrize("kind", ["color", "16 bit", "volume"])
def test_more_formats_with_equal_pixels(tmp_path, kind):
    noise = np.random.default_rng(1)
    if kind == "color":
        values = noise.integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8)
        alike = [write(tmp_path / f"color.{suffix}", values) for suffix in ("png", "tif", "bmp")]
    elif kind == "16 bit":
        values = noise.integers(0, 2**16, (ROWS, COLUMNS), dtype=np.uint16)
        alike = [write(tmp_path / f"deep.{suffix}", values) for suffix in ("png", "tif")]
        alike.append(write_values(tmp_path / "deep.dcm", values))
    else:
        values = noise.integers(0, 99, (6, 5, 4), dtype=np.int16)
        alike = [write(tmp_path / f"volume.{suffix}", values) for suffix in ("nii", "nii.gz")]
    assert len({one.digest for one in examine(*alike)}) == 1


def test_unlike_images_have_unlike_digests(tmp_path, grey):
    other = grey.copy()
    other[3, 4] ^= 1
    images = [grey, other, grey.T, grey.reshape(ROWS // 2, COLUMNS * 2), grey[::-1]]
    images.append(grey.T.reshape(COLUMNS * 2, ROWS // 2).T)  # the same values in the same order, once loaded
    images.append(np.stack([grey, grey, other], axis=-1))
    found = examine(*(write(tmp_path / f"{n}.png", image) for n, image in enumerate(images)))
    assert len({one.digest for one in found}) == len(images)
    assert all(one.digest and one.kind is None for one in found)


# ---------------------------------------------------------------- what cannot be used


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.nii", "a.nii.gz", "a.mha", "a.nrrd", "a.dcm"])
def test_truncated_file(tmp_path, grey, name):
    values = np.stack([grey] * 4) if name.endswith((".nii", ".gz", ".mha", ".nrrd")) else grey
    path = write_dicom(tmp_path / name) if name == "a.dcm" else write(tmp_path / name, values)
    assert examine(path)[0].kind is None
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    (found,) = examine(path)
    assert (found.kind, found.digest) == (UNREADABLE, "")
    assert found.detail
    assert not found.detail.startswith(str(path))  # it is shown before the detail
    assert "\n" not in found.detail


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.nii.gz", "a.nii", "a.dcm", "rle.dcm"])
def test_a_file_cut_anywhere_never_ends_the_run(tmp_path, grey, name, recwarn, caplog, capfd):
    if name.endswith(".dcm"):
        whole = write_dicom(tmp_path / name, RLELossless if name == "rle.dcm" else ExplicitVRLittleEndian)
    else:
        whole = write(tmp_path / name, np.stack([grey] * 4) if ".nii" in name else grey)
    content = whole.read_bytes()
    cuts = sorted({*range(0, len(content), max(1, len(content) // 40)), 1, 130, 135, 200, len(content) - 1})
    paths = []
    for cut in cuts:
        (tmp_path / f"{cut}").mkdir()
        paths.append(tmp_path / f"{cut}" / name)
        paths[-1].write_bytes(content[:cut])
    found = examine(*paths)
    assert all(one.kind in (None, UNREADABLE, BLACK) for one in found)
    assert sum(one.kind is UNREADABLE for one in found) > len(cuts) / 2
    captured = capfd.readouterr()
    told = [*(one.detail for one in found), *(str(w.message) for w in recwarn), caplog.text, captured.out, captured.err]
    assert not [secret for secret in SECRETS.values() for text in told if secret in text]


@pytest.mark.parametrize(
    ("name", "values", "detail"),
    [
        ("a.png", np.zeros((8, 6), np.uint8), "every pixel is 0"),
        ("a.png", np.full((8, 6), 255, np.uint8), "every pixel is 255"),
        ("a.tif", np.full((8, 6), 300, np.uint16), "every pixel is 300"),
        ("a.png", np.full((8, 6, 3), (5, 0, 7), np.uint8), "every pixel is 5, 0, 7"),
        ("a.png", np.full((8, 6, 4), (0, 0, 0, 255), np.uint8), "every pixel is 0, 0, 0, 255"),
        ("a.nii.gz", np.full((8, 6, 4), -1024, np.int16), "every pixel is -1024"),
    ],
)
def test_one_value_everywhere(tmp_path, name, values, detail):
    (found,) = examine(write(tmp_path / name, values))
    assert (found.kind, found.detail) == (BLACK, detail)
    values[-1, -1] ^= 1
    assert examine(write(tmp_path / name, values))[0].kind is None


def test_no_pixels(tmp_path):
    (found,) = examine(write(tmp_path / "a.nii", np.zeros((0, 4, 4), np.float32)))
    assert found.kind is UNREADABLE


@pytest.mark.parametrize("name", ["nowhere.png", "n" * 5000])
def test_missing_file(tmp_path, name):
    (found,) = examine(tmp_path / name)
    assert (found.kind, found.detail) == (MISSING, "does not exist")


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n"])
@pytest.mark.parametrize("suffix", ["png", "dcm", "nii.gz", "tif"])
def test_content_that_is_no_image(tmp_path, content, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    assert examine(path)[0].kind is UNREADABLE


def test_a_folder_that_is_no_series(tmp_path):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "notes.txt").write_text("none")
    assert examine(tmp_path / "series")[0].kind is UNREADABLE


# ---------------------------------------------------------------- masks


def masked(image, **masks):
    return Record(image, masks=masks)


def test_masks_that_fit(tmp_path):
    image = write_image(tmp_path / "a.png")
    masks = {
        "lesion": write_mask(tmp_path / "lesion.png"),
        "disc": None,
        "cup": write_mask(tmp_path / "cup.png", [0], [0]),
    }
    empty = write_mask(tmp_path / "empty.png", slice(0), slice(0))
    found = examine(
        masked(image, **masks), masked(image, lesion=empty), masked(image, lesion=None), Record(image, masks={})
    )
    assert [(one.kind, one.detail) for one in found] == [(None, "")] * 4


def test_volume_mask(tmp_path):
    values = np.random.default_rng(0).integers(0, 99, (6, 5, 4), dtype=np.int16)
    image = write(tmp_path / "a.nii.gz", values)
    fits = write(tmp_path / "fits.nii.gz", (values > 50).astype(np.uint8))
    flat = write(tmp_path / "flat.nii.gz", (values[..., :3] > 50).astype(np.uint8))
    found = examine(masked(image, lesion=fits), masked(image, lesion=flat))
    assert [one.kind for one in found] == [None, MASK_SIZE]
    assert found[1].detail == f"{flat} is 6 x 5 x 3 where the image is 6 x 5 x 4"


@pytest.mark.parametrize("shape", [(COLUMNS, ROWS), (ROWS, COLUMNS + 1), (1, 1)])
def test_mask_of_another_size(tmp_path, shape):
    image, lesion = write_image(tmp_path / "a.png"), write_mask(tmp_path / "lesion.png")
    other = write(tmp_path / "other.png", np.full(shape, 255, np.uint8))
    (found,) = examine(masked(image, lesion=lesion, disc=other))
    assert found.kind is MASK_SIZE
    assert found.detail == f"{other} is {shape[1]} x {shape[0]} where the image is {COLUMNS} x {ROWS}"


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_mask_of_nothing_but_background(tmp_path, channels):
    """The right half of the picture is black, as beside a breast; an alpha channel is white there, too."""
    values = pixels(tmp_path / "a.png", channels=4)
    values[:, COLUMNS // 2 :, :3] = 0
    values[..., 3] = 255
    image = write(tmp_path / "a.png", values[..., 0] if channels == 1 else values[..., :channels])
    off = write_mask(tmp_path / "off.png", slice(2, 6), slice(COLUMNS // 2, None))
    edge = write_mask(tmp_path / "edge.png", slice(2, 6), slice(COLUMNS // 2 - 1, None))
    found = examine(masked(image, lesion=edge), masked(image, lesion=off), masked(image, disc=edge, lesion=off))
    assert [one.kind for one in found] == [None, MASK_OVERLAP, MASK_OVERLAP]
    assert found[1].detail == f"{off} marks nothing but the background of the image"


def test_mask_that_is_missing_or_cannot_be_read(tmp_path):
    image, broken = write_image(tmp_path / "a.png"), write_mask(tmp_path / "lesion.png")
    broken.write_bytes(broken.read_bytes()[:40])
    found = examine(masked(image, lesion=tmp_path / "nowhere.png"), masked(image, lesion=broken))
    assert [one.kind for one in found] == [MISSING, UNREADABLE]
    assert found[0].detail == f"its mask of lesion, {tmp_path / 'nowhere.png'}, does not exist"
    assert found[1].detail.startswith(f"its mask of lesion: {broken}: cannot be read")


# ---------------------------------------------------------------- all together


def test_workers_give_the_same_in_the_same_order(tmp_path, capfd):
    good = [write_image(tmp_path / f"{n}.png") for n in range(7)]
    black = write(tmp_path / "black.png", np.zeros((8, 6), np.uint8))
    broken = write_image(tmp_path / "broken.png")
    broken.write_bytes(broken.read_bytes()[:90])
    off = masked(good[0], lesion=write_mask(tmp_path / "off.png", slice(1), slice(1)))
    images = [*good[:3], black, tmp_path / "nowhere.png", broken, off, *good[3:]]
    alone = examine(*images)
    assert [one.kind for one in alone] == [None, None, None, BLACK, MISSING, UNREADABLE, *[None] * 5]
    assert examine(*images, num_workers=2) == alone
    assert capfd.readouterr().err == ""  # no progress bar where none is wanted
    assert examine() == []


def test_progress_is_shown(tmp_path, capfd):
    examine_images([Record(write_image(tmp_path / "a.png"))])
    assert "Checking images: 100%" in capfd.readouterr().err
