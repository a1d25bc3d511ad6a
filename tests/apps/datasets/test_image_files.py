# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import pytest

from monai_semise.apps.datasets.image_files import IMAGE_SUFFIXES, image_stem, list_images, require_folder, subfolder
from monai_semise.utils import InputError
from tests.apps.datasets.files import write_dicom


@pytest.fixture
def tree(tmp_path):
    names = ("b.png", "a.JPG", "c.nii.gz", "C.dcm", ".hidden.png", "notes.txt", "png", "x.gz", "sub/d.tif")
    for name in (*names, "sub/.cache/e.png", ".trash/f.png", "sub/deep/g.bmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def names(root, paths):
    return [path.relative_to(root).as_posix() for path in paths]


def test_images_of_a_folder(tree):
    assert names(tree, list_images(tree)) == ["C.dcm", "a.JPG", "b.png", "c.nii.gz"]


def test_images_of_a_folder_and_all_below(tree):
    found = names(tree, list_images(tree, recursive=True))
    assert found == ["C.dcm", "a.JPG", "b.png", "c.nii.gz", "sub/d.tif", "sub/deep/g.bmp"]


def test_hidden_folders_above_do_not_matter(tmp_path):
    folder = tmp_path / ".data" / "images"
    folder.mkdir(parents=True)
    (folder / "a.png").touch()
    assert names(folder, list_images(folder, recursive=True)) == ["a.png"]


def test_dicom_files_without_an_ending(tree):
    write_dicom(tree / "IM0001")
    write_dicom(tree / "scan.0")
    assert "IM0001" not in names(tree, list_images(tree))
    found = names(tree, list_images(tree, dicom_by_content=True))
    assert found == ["C.dcm", "IM0001", "a.JPG", "b.png", "c.nii.gz", "scan.0"]


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_stem_of_every_format(suffix):
    assert image_stem(Path(f"x/a.b{suffix}")) == "a.b"
    assert image_stem(Path(f"x/a.b{suffix.upper()}")) == "a.b"


@pytest.mark.parametrize(("name", "stem"), [("a.gz", "a.gz"), ("a", "a"), ("a.nii.gz.txt", "a.nii.gz.txt")])
def test_stem_without_an_image_ending(name, stem):
    assert image_stem(Path(name)) == stem


def test_require_folder(tree):
    assert require_folder(tree / "sub", "anything") == tree / "sub"
    with pytest.raises(
        InputError, match=r"x: no such folder; --root must hold the scans; found .cache, d.tif, deep in "
    ):
        require_folder(tree / "sub" / "x", "the scans")
    with pytest.raises(InputError, match=r"deep/x/y: no such folder; .*; found g.bmp in .*deep$"):
        require_folder(tree / "sub" / "deep" / "x" / "y", "the scans")
    with pytest.raises(InputError, match=r"b\.png: no such folder"):
        require_folder(tree / "b.png", "the scans")
    (tree / "empty").mkdir()
    with pytest.raises(InputError, match="found nothing in "):
        require_folder(tree / "empty" / "x", "the scans")


def test_subfolder(tree):
    assert subfolder(tree, ["x", "sub"]) == tree / "sub"
    assert subfolder(tree, ["deep"]) == tree / "sub" / "deep"
    assert subfolder(tree, ["deep", "sub"]) == tree / "sub"  # the nearest first
    assert subfolder(tree, ["b.png", "nowhere"]) is None
    assert subfolder(tree / "b.png", ["sub"]) is None
