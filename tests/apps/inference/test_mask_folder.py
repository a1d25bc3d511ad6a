# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from monai_semise.apps.inference import MaskFolder
from monai_semise.engines import InputGeometry
from monai_semise.transforms import LoadMask
from monai_semise.utils import InputError

IDENTITY = tuple(map(tuple, torch.eye(4).tolist()))
PARTS = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=30).filter(
    lambda name: name not in (".", "..")
)


def geometry(*size):
    return InputGeometry(size, IDENTITY, None, tuple((0, length) for length in size))


def files_of(images, structures=("lesion",), folder="masks", **settings):
    return MaskFolder(folder, [{"image": image} for image in images], structures, **settings).files


def test_folders_are_mirrored_from_the_common_one():
    files = files_of(["/data/p1/left/a.png", "/data/p2/a.png", "/data/p1/IM.0001"])
    assert files == [["p1/left/a_lesion.png"], ["p2/a_lesion.png"], ["p1/IM.0001_lesion.nii.gz"]]
    assert files_of(["/data/a.png"]) == [["a_lesion.png"]]
    assert files_of([]) == []


def test_formats():
    images = ["/a/1.png", "/a/2.JPG", "/a/3.dcm", "/a/4.nii.gz", "/a/5.mha", "/a/6"]
    endings = [file.partition("_lesion")[2] for (file,) in files_of(images)]
    assert endings == [".png", ".png", ".nii.gz", ".nii.gz", ".nii.gz", ".nii.gz"]
    assert {file.partition("_")[2] for (file,) in files_of(images, mask_format="png")} == {"lesion.png"}
    assert {file.partition("_")[2] for (file,) in files_of(images, spatial_dims=3)} == {"lesion.nii.gz"}
    assert files_of(images[:1], ["a", "b"], exclusive=True) == [["1_labels.png"]]


def test_images_that_would_share_a_file():
    assert files_of(["/d/a.png", "/d/a.jpg", "/d/A.bmp", "/d/b.png", "/d/a.png"]) == [
        ["a_lesion.png"],
        ["a_1_lesion.png"],
        ["A_2_lesion.png"],
        ["b_lesion.png"],
        ["a_4_lesion.png"],
    ]
    assert files_of(["/d/a.png", "/d/a_b.png"], ["b_c", "c"]) == [
        ["a_b_c.png", "a_c.png"],
        ["a_b_1_b_c.png", "a_b_1_c.png"],
    ]


@given(
    st.lists(st.lists(PARTS, min_size=1, max_size=3), min_size=1, max_size=6),
    st.lists(st.text(max_size=200), min_size=1, max_size=4, unique=True),
)
@example([["a" * 250 + ".png"], ["a" * 250 + ".jpg"]], ["b" * 250, "b" * 251])
@example([["ß.png"], ["SS.png"], ["ss.png"]], ["/", "\n", "..", ""])
def test_file_names_are_distinct_safe_and_not_too_long(paths, structures):
    files = files_of(["/" + "/".join(parts) for parts in paths], structures)
    names = [name for names in files for name in names]
    assert len(names) == len(paths) * len(structures)
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert not os.path.isabs(name)
        assert os.path.normpath(name) == name
        assert not name.startswith("..")
        assert all(len(os.fsencode(part)) < 240 for part in name.split("/")[-1:])


@pytest.mark.parametrize("mask_format", ["png", "nifti"])
@pytest.mark.parametrize("exclusive", [False, True])
def test_files_are_read_as_masks(tmp_path, mask_format, exclusive):
    """Back from their files they are what they were, as the masks of a datalist."""
    masks = (torch.rand(2, 13, 7, generator=torch.Generator().manual_seed(0)) > 0.5).byte()
    if exclusive:
        masks[1] *= 1 - masks[0]
    settings = {"exclusive": exclusive, "mask_format": mask_format}
    Image.new("L", (13, 7)).save(tmp_path / "a.png")
    write = MaskFolder(tmp_path / "masks", [{"image": str(tmp_path / "a.png")}], ["disc", "cup"], **settings)
    names = write(0, masks, geometry(13, 7))
    assert len(names) == 2
    paths = [str(tmp_path / name) for name in names]
    read = LoadMask(n_structures=2, exclusive=exclusive)(paths[0] if exclusive else paths, torch.zeros(1, 13, 7))
    assert torch.equal(read, masks)


def test_nifti_of_what_is_no_nifti_lies_at_the_affine(tmp_path):
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    place = InputGeometry((4, 5, 6), tuple(map(tuple, affine.tolist())), (1.5, 2, 3), ((0, 4), (0, 5), (0, 6)))
    write = MaskFolder(tmp_path / "masks", [{"image": "/data/v.mha"}], ["a"], spatial_dims=3)
    (name,) = write(0, torch.ones(1, 4, 5, 6, dtype=torch.uint8), place)
    mask = nib.load(tmp_path / name)
    for found in (mask.affine, mask.get_sform(), mask.get_qform()):
        assert np.allclose(found, affine, atol=1e-5)
    assert mask.header.get_xyzt_units()[0] == "mm"
    assert (mask.header["sform_code"], mask.header["qform_code"]) == (1, 1)


def test_files_are_written_whole(tmp_path, monkeypatch):
    write = MaskFolder(tmp_path / "masks", [{"image": "/data/a.png"}], ["a"])
    write(0, torch.ones(1, 4, 5, dtype=torch.uint8), geometry(4, 5))
    before = (tmp_path / "masks" / "a_a.png").read_bytes()

    def fail(self, stream, **settings):
        stream.write(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="full"):
        write(0, torch.zeros(1, 4, 5, dtype=torch.uint8), geometry(4, 5))
    assert {path.name: path.read_bytes() for path in (tmp_path / "masks").iterdir()} == {"a_a.png": before}


def test_dicom_seg_needs_highdicom(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    with pytest.raises(InputError, match="mask_format dicom_seg: needs the package highdicom"):
        files_of(["/data/a.dcm"], mask_format="dicom_seg")
