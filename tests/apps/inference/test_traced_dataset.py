# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, EnsureTyped, Flipd, Resized, SpatialCropd
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from monai_semise.apps.inference import TracedDataset
from monai_semise.engines import InputGeometry
from monai_semise.transforms import LoadCheckedImaged
from tests.data.dicom_files import write_dicom, write_series

PIXELS = np.arange(20 * 30, dtype=np.uint16).reshape(30, 20)


def traced(path, *steps, size=(8, 8)):
    chain = [LoadCheckedImaged("image", 1, len(size)), *steps, Resized("image", size)]
    chain.append(EnsureTyped("image", track_meta=False))
    return TracedDataset([{"image": str(path), "index": 0}], Compose(chain), (1, *size))


def geometry_of(path, *steps, size=(8, 8)):
    return InputGeometry.from_text(traced(path, *steps, size=size)[0]["geometry"])


@pytest.mark.parametrize("size", [(8, 8), (12, 20)])
def test_what_the_network_saw(tmp_path, size):
    """The second size is that of the crop, so that nothing is resized."""
    Image.fromarray(PIXELS.astype(np.uint8)).save(tmp_path / "a.png")
    steps = [Flipd("image", 0), SpatialCropd("image", roi_start=(1, 10), roi_end=(13, 30))]
    geometry = geometry_of(tmp_path / "a.png", *steps, size=size)
    assert (geometry.size, geometry.seen, geometry.flipped) == ((20, 30), ((7, 19), (10, 30)), (0,))
    assert geometry.spacing is None


def test_images_are_those_of_the_plain_chain(tmp_path):
    nib.save(nib.Nifti1Image(PIXELS.astype(np.float32), np.diag([2.0, 3, 4, 1])), tmp_path / "a.nii.gz")
    dataset = traced(tmp_path / "a.nii.gz", Flipd("image", 0))
    item = dataset[0]
    assert type(item["image"]) is torch.Tensor
    plain = Compose([LoadCheckedImaged("image", 1), Flipd("image", 0), Resized("image", (8, 8))])
    assert torch.equal(item["image"], plain({"image": str(tmp_path / "a.nii.gz")})["image"].as_tensor())
    geometry = InputGeometry.from_text(item["geometry"])
    assert np.allclose(geometry.affine, np.diag([2.0, 3, 4, 1]))
    assert geometry.spacing == (2, 3)


def test_unreadable_images_share_a_batch(tmp_path):
    Image.fromarray(PIXELS.astype(np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "junk.png").write_bytes(b"junk")
    dataset = traced(tmp_path / "a.png")
    dataset.data = [{"image": str(tmp_path / name), "index": n} for n, name in enumerate(("a.png", "junk.png"))]
    (batch,) = DataLoader(dataset, batch_size=2)
    assert batch["geometry"][1] == ""
    assert batch["error"][0] == ""
    assert "cannot be read" in batch["error"][1]


def measures(**elements):
    """A file of one frame whose functional groups hold the elements."""
    item, group = Dataset(), Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    group.PixelMeasuresSequence = Sequence([item])
    return Sequence([group])


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({}, None),
        ({"PixelSpacing": [1, 1]}, (1, 1)),
        ({"ImagerPixelSpacing": [0.5, 0.25]}, (0.25, 0.5)),
        ({"PixelSpacing": None}, None),
        ({"SharedFunctionalGroupsSequence": measures(PixelSpacing=[2, 3])}, (3, 2)),
    ],
)
def test_spacing_of_dicom(tmp_path, elements, spacing):
    """The reader takes 1 where there is none."""
    if elements == {"PixelSpacing": None}:
        elements = {"PixelSpacing": ""}
    write_dicom(tmp_path / "IM1", PIXELS, **elements)
    assert geometry_of(tmp_path / "IM1").spacing == spacing


def test_spacing_of_a_series(tmp_path):
    affine = np.diag([0.5, 2.0, 4.0, 1.0])
    write_series(tmp_path / "series", np.stack([PIXELS.T] * 3, axis=-1), affine)
    assert geometry_of(tmp_path / "series", size=(8, 8, 8)).spacing == pytest.approx((0.5, 2, 4))


def test_pictures_have_no_spacing_whatever_their_resolution_for_print(tmp_path):
    Image.fromarray(PIXELS.astype(np.uint8)).save(tmp_path / "a.tif", dpi=(300, 300))
    assert geometry_of(tmp_path / "a.tif").spacing is None
