# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import stat
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from monai_semise.data import ensure_phantoms, load_datalist, make_phantom
from monai_semise.data import phantoms as module
from monai_semise.transforms import LoadCheckedImage

FORMATS = {"png": (32, 32), "dicom": (32, 32), "nifti": (16, 16, 16), "dicom_series": (16, 16, 16)}


def small(root, **kwargs):
    arguments = {"n_training": 10, "n_validation": 5, "n_test": 5, "size": 16, "progress": False, **kwargs}
    return ensure_phantoms(root, **arguments)


def files(folder):
    """Content of every file below ``folder``."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def slices(folder):
    """The headers of a DICOM series, from the feet to the head."""
    return sorted((pydicom.dcmread(file) for file in Path(folder).iterdir()), key=lambda h: h.ImagePositionPatient[2])


# ---------------------------------------------------------------- one phantom


@pytest.fixture(scope="module")
def many():
    """200 phantoms: grade, image and mask of each."""
    grades = np.arange(200) % module.N_GRADES
    drawn = [make_phantom(grade, 48, np.random.default_rng((7, n))) for n, grade in enumerate(grades)]
    return grades, np.stack([image for image, _ in drawn]), np.stack([mask for _, mask in drawn])


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_shape_type_and_range(spatial_dims):
    image, mask = make_phantom(3, 24, np.random.default_rng(0), spatial_dims)
    assert image.shape == mask.shape == (24,) * spatial_dims
    assert (image.dtype, mask.dtype) == (np.float32, np.uint8)
    assert 0 <= image.min() < image.max() <= 1
    assert set(np.unique(mask)) == {0, 1}


def test_same_draws_same_phantom():
    first, second, other = (make_phantom(2, 24, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_lesion_area_grows_with_the_grade(many):
    grades, _, masks = many
    area = [masks[grades == grade].mean() for grade in range(module.N_GRADES)]
    assert area[0] == 0
    assert all(worse > 1.5 * milder for milder, worse in pairwise(area))


def test_healthy_phantoms_have_no_lesion(many):
    grades, _, masks = many
    assert not masks[grades == 0].any()


def test_brightness_hardly_tells_the_grade(many):
    grades, images, _ = many
    assert abs(np.corrcoef(grades, images.mean(axis=(1, 2)))[0, 1]) < 0.35


def test_lesions_are_brighter_than_their_surroundings(many):
    _, images, masks = many
    severe = [(image, mask.astype(bool)) for image, mask in zip(images, masks) if mask.sum() > 100]
    assert len(severe) > 20
    assert np.mean([image[mask].mean() > np.median(image[image > 0.2]) for image, mask in severe]) > 0.95


# ---------------------------------------------------------------- a set as files


@pytest.mark.parametrize(("image_format", "shape"), FORMATS.items())
def test_loads_with_the_package_and_with_other_software(phantoms, image_format, shape):
    datalist = load_datalist(phantoms(image_format, shape[0]), required=("training", "validation", "test"))
    load = LoadCheckedImage(channels=1, spatial_dims=len(shape))
    item = datalist["validation"][4]
    image, mask = load(item["image"]), load(item["mask"])
    assert image.shape == mask.shape == (1, *shape)
    assert image.max() > 10 * image.min() >= 0
    assert set(np.unique(mask)) <= ({0, 1} if len(shape) == 3 else {0, 255})
    assert mask.any()
    if image_format == "dicom_series":
        pixels = np.stack([header.pixel_array.T for header in slices(item["image"])], axis=-1)
    elif image_format == "dicom":
        pixels = pydicom.dcmread(item["image"]).pixel_array.T
    elif image_format == "png":
        pixels = np.asarray(Image.open(item["image"])).T
    else:
        pixels = nib.load(item["image"]).get_fdata()
    assert np.array_equal(image[0].numpy(), pixels)


def test_image_and_mask_lie_alike(phantoms):
    """Whatever the axes' order, lesions are where the mask says."""
    for image_format, shape in FORMATS.items():
        load = LoadCheckedImage(channels=1, spatial_dims=len(shape))
        inside, outside = [], []
        for item in load_datalist(phantoms(image_format, shape[0]))["validation"]:
            if item["severity"] == 4:
                image, mask = (load(item[field]).numpy() for field in ("image", "mask"))
                image = image / image.max()
                inside.append(image[mask > 0].mean())
                outside.append(image[(mask == 0) & (image > 0.2)].mean())
        assert np.mean(inside) > np.mean(outside) + 0.1


@pytest.mark.parametrize("image_format", FORMATS)
def test_same_seed_same_bytes(tmp_path, image_format):
    for name in ("first", "second"):
        small(tmp_path / name, image_format=image_format, seed=3)
    assert files(tmp_path / "first") == files(tmp_path / "second")
    assert len(files(tmp_path / "first")) == 20 * (16 if image_format == "dicom_series" else 1) + 20 + 1
    other = small(tmp_path / "third", image_format=image_format, seed=4)
    assert set(files(tmp_path / "third").values()).isdisjoint(
        content for path, content in files(tmp_path / "first").items() if "images" in path.parts
    )
    assert "seed4" in other


def test_dicom_identifiers_are_distinct(phantoms):
    headers = [pydicom.dcmread(path) for path in (phantoms("dicom").parent / "images").iterdir()]
    for field in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        assert len({header[field].value for header in headers}) == len(headers) == 40
    assert all(header.StudyInstanceUID.is_valid for header in headers)


def test_series_equals_the_nifti_volume(phantoms):
    """The same values, axes and geometry, and a mask that lies on them."""
    load = LoadCheckedImage(channels=1, spatial_dims=3)
    nifti, series = (load_datalist(phantoms(image_format, 16)) for image_format in ("nifti", "dicom_series"))
    for section in ("training", "validation", "test", "unlabelled"):
        assert len(nifti[section]) == len(series[section]) > 0
        for volume, same in zip(nifti[section], series[section]):
            assert volume["severity"] == same["severity"]
            image = load(same["image"])
            for field in {"image", "mask"} & set(volume):
                expected, found = load(volume[field]), load(same[field])
                assert np.array_equal(found.numpy(), expected.numpy())
                assert np.allclose(found.affine, expected.affine)
                assert np.allclose(found.affine, image.affine)


def test_series_is_one_volume_of_slices(phantoms):
    item = load_datalist(phantoms("dicom_series", 16))["test"][4]
    headers = slices(item["image"])
    assert len(headers) == 16
    for field in ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "SOPClassUID"):
        assert len({header[field].value for header in headers}) == 1
    assert len({header.SOPInstanceUID for header in headers}) == 16
    assert [header.InstanceNumber for header in headers] == list(range(1, 17))
    names = [Path(header.filename).name for header in headers]
    assert names != sorted(names)
    # where DICOM puts the voxel (i, j, k), in the axes of NIfTI
    affine = nib.load(item["mask"]).affine
    for i, j, k in ((0, 0, 0), (15, 0, 0), (0, 15, 0), (5, 7, 15)):
        header = headers[k]
        row, column = np.reshape(header.ImageOrientationPatient, (2, 3))
        at = np.array(header.ImagePositionPatient)
        at = at + row * i * header.PixelSpacing[1] + column * j * header.PixelSpacing[0]
        assert np.allclose((affine @ [i, j, k, 1])[:3], at * [-1, -1, 1])
    steps = np.diff([header.ImagePositionPatient[2] for header in headers])
    assert np.allclose(steps, headers[0].SliceThickness)
    assert len({*headers[0].PixelSpacing, headers[0].SliceThickness}) == 3


def test_series_identifiers_are_distinct(phantoms):
    headers = [slices(folder)[0] for folder in (phantoms("dicom_series", 16).parent / "images").iterdir()]
    for field in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert len({header[field].value for header in headers}) == len(headers) == 40


def test_datalist(tmp_path):
    content = json.loads(Path(small(tmp_path, n_training=100, unlabelled_fraction=0.13)).read_text())
    assert content["grades"] == ["healthy", "mild", "moderate", "severe", "very severe"]
    assert {section: len(content[section]) for section in ("training", "validation", "test", "unlabelled")} == {
        "training": 87,
        "validation": 5,
        "test": 5,
        "unlabelled": 13,
    }
    assert [entry["severity"] for entry in content["test"]] == [0, 1, 2, 3, 4]
    assert all("severity" not in entry and "mask" not in entry for entry in content["unlabelled"])
    assert all(not entry["image"].startswith("/") for entry in content["training"])
    groups = [entry["group"] for section in ("training", "validation", "test") for entry in content[section]]
    assert len(set(groups)) == len(groups)


@pytest.mark.parametrize(("fraction", "n"), [(0, 0), (0.5, 5), (0.96, 10)])
def test_unlabelled_fraction(tmp_path, fraction, n):
    content = json.loads(Path(small(tmp_path, unlabelled_fraction=fraction)).read_text())
    assert (len(content["training"]), len(content["unlabelled"])) == (10 - n, n)


def test_there_already(tmp_path):
    path = small(tmp_path)
    times = {file: (tmp_path / file).stat().st_mtime_ns for file in files(tmp_path)}
    assert small(tmp_path) == path
    assert {file: (tmp_path / file).stat().st_mtime_ns for file in files(tmp_path)} == times


def test_other_arguments_make_another_set(tmp_path):
    paths = {
        small(tmp_path, **kwargs)
        for kwargs in ({}, {"seed": 1}, {"size": 17}, {"n_test": 6}, {"unlabelled_fraction": 0.2})
    }
    assert len(paths) == 5


def test_folder_can_be_read_by_others(tmp_path):
    path = small(tmp_path)
    assert stat.S_IMODE((tmp_path / path).parent.stat().st_mode) == 0o755


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_whole_or_not_at_all(tmp_path, monkeypatch, error):
    write, suffix, dims = module.WRITERS["png"]
    calls = []

    def failing(path, array):
        calls.append(path)
        if len(calls) == 7:
            raise error
        write(path, array)

    monkeypatch.setitem(module.WRITERS, "png", (failing, suffix, dims))
    with pytest.raises(type(error)):
        small(tmp_path / "root")
    assert len(calls) == 7
    assert list((tmp_path / "root").iterdir()) == []
    monkeypatch.undo()
    assert len(load_datalist(small(tmp_path / "root"))["test"]) == 5


def test_another_process_was_first(tmp_path, monkeypatch):
    """Two processes make the set at once: both get it, and nothing else is left."""
    write, suffix, dims = module.WRITERS["png"]
    calls = []

    def slow(path, array):
        calls.append(path)
        if len(calls) == 3:
            monkeypatch.undo()
            small(tmp_path)  # the other process, from start to end
        write(path, array)

    monkeypatch.setitem(module.WRITERS, "png", (slow, suffix, dims))
    path = small(tmp_path)
    assert len(load_datalist(path)["training"]) == 10
    assert [entry.name for entry in tmp_path.iterdir()] == ["phantoms_png_16px_10-5-5_0.05_seed0"]


def test_unknown_format(tmp_path):
    with pytest.raises(ValueError, match="pgn"):
        small(tmp_path, image_format="pgn")
    assert list(tmp_path.iterdir()) == []
