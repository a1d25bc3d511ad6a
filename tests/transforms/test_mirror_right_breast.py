# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate, set_track_meta
from monai.transforms import Compose

from monai_semise.data import DicomInfo
from monai_semise.transforms import (
    LoadCheckedImaged,
    MirrorRightBreast,
    MirrorRightBreastD,
    MirrorRightBreastd,
    MirrorRightBreastDict,
)
from monai_semise.utils import InputError
from tests.data.dicom_files import write_dicom

AFFINE = torch.tensor([[-0.1, 0, 0, 5], [0, -0.2, 0, 7], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64)


def breast(side, shape=(1, 4, 3)):
    values = torch.arange(float(np.prod(shape))).reshape(shape)
    return MetaTensor(
        values,
        affine=AFFINE,
        meta={"dicom": DicomInfo("MONOCHROME2", laterality=side).to_text(), "filename_or_obj": "a.dcm"},
    )


@pytest.mark.parametrize("shape", [(1, 4, 3), (2, 4, 3), (1, 4, 3, 2)])
def test_right_breasts_are_flipped_along_x(shape):
    image = breast("R", shape)
    result = MirrorRightBreast()(image)
    assert np.array_equal(result, image.numpy()[:, ::-1])
    # every value stays where it was in the patient
    point = torch.tensor([0, 2, 0, 1], dtype=torch.float64)
    mirrored = torch.tensor([3, 2, 0, 1], dtype=torch.float64)
    assert torch.allclose(result.affine @ point, image.affine @ mirrored)


@pytest.mark.parametrize("side", ["L", "B", "U"])
def test_others_are_not(side):
    image = breast(side)
    result = MirrorRightBreast()(image)
    assert torch.equal(result, image)
    assert torch.equal(result.affine, AFFINE)


@pytest.mark.parametrize("side", ["L", "R"])
def test_inverse(side):
    image, mirror = breast(side), MirrorRightBreast()
    back = mirror.inverse(mirror(image))
    assert torch.equal(back, image)
    assert torch.allclose(back.affine, AFFINE)
    assert back.applied_operations == []


def test_side_given():
    assert torch.equal(MirrorRightBreast()(torch.tensor([[[1.0], [2]]]), "R"), torch.tensor([[[2.0], [1]]]))
    assert torch.equal(MirrorRightBreast()(breast("R"), "L"), breast("R"))
    with pytest.raises(InputError, match=r"laterality: expected .* found 'right'"):
        MirrorRightBreast()(torch.zeros(1, 2, 2), "right")


def test_side_unknown():
    with pytest.raises(InputError, match=r"a\.dcm: its DICOM header does not tell .* leave MirrorRightBreast out"):
        MirrorRightBreast()(breast(None))


def test_what_is_not_dicom_stays():
    for image in (torch.rand(1, 2, 2), MetaTensor(torch.rand(1, 2, 2))):
        assert MirrorRightBreast()(image) is image
        assert MirrorRightBreastd("image", "image")({"image": image})["image"] is image


def test_metadata_must_be_tracked():
    set_track_meta(False)
    try:
        with pytest.raises(InputError, match="MirrorRightBreast: needs the image's metadata"):
            MirrorRightBreast()(torch.zeros(1, 2, 2))
    finally:
        set_track_meta(True)


# ---------------------------------------------------------------- dictionary form


@pytest.mark.parametrize("side", ["L", "R"])
def test_masks_follow_their_image(side):
    data = {"image": breast(side), "mask": MetaTensor(breast(side).as_tensor() > 5), "grade": 1}
    mirror = MirrorRightBreastd(["image", "mask"], source_key="image")
    result = mirror(data)
    assert torch.equal(result["mask"], result["image"] > 5)
    assert torch.equal(result["image"], data["image"]) == (side == "L")
    assert result["grade"] == 1
    back = mirror.inverse(result)
    for key in ("image", "mask"):
        assert torch.equal(back[key], data[key])


def test_side_of_an_item():
    """For images that have lost their header."""
    image = torch.rand(1, 4, 3)
    for side in ("L", "R"):
        result = MirrorRightBreastd("image", source_key="side")({"image": image, "side": side})
        assert torch.equal(result["image"], image.flip(1) if side == "R" else image)


def test_missing_keys():
    data = {"image": breast("R")}
    assert "mask" not in MirrorRightBreastd(["image", "mask"], "image", allow_missing_keys=True)(data)
    with pytest.raises(KeyError, match="mask"):
        MirrorRightBreastd(["image", "mask"], "image")(data)


def test_pipeline_from_files_can_be_inverted_after_batching(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (6, 9), dtype=np.uint8)
    paths = [write_dicom(tmp_path / side, picture, ImageLaterality=side) for side in ("L", "R")]
    pipeline = Compose([LoadCheckedImaged("image", channels=1), MirrorRightBreastd("image", "image")])
    batch = list_data_collate([pipeline({"image": path}) for path in paths])
    assert np.array_equal(batch["image"][:, 0], np.stack([picture.T, picture.T[::-1]]))
    for part in decollate_batch(batch):
        assert np.array_equal(pipeline.inverse(part)["image"][0], picture.T)


def test_aliases():
    assert MirrorRightBreastD is MirrorRightBreastDict is MirrorRightBreastd
