# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
import re
from argparse import ArgumentParser, _ArgumentGroup
from collections.abc import Sequence
from pathlib import Path

from monai_semise.apps.datasets.dicom_groups import group_by_patient
from monai_semise.apps.datasets.image_files import list_images, require_folder
from monai_semise.apps.datasets.mask_files import find_masks, without_masks
from monai_semise.apps.datasets.option_types import names
from monai_semise.apps.datasets.source import Source
from monai_semise.apps.datasets.split_names import split_from_name
from monai_semise.apps.datasets.volumes import find_volumes
from monai_semise.data.collection import Collection, Record
from monai_semise.utils import InputError

__all__ = ["ImageFolder"]

UNLABELLED = ("unlabelled", "unlabeled")
EXPECTED = "one folder for each grade"
SHOWN = 8


class ImageFolder(Source):
    """Any images that are sorted into one folder for each grade.

    Licence: of the images themselves.

    Layout: ``<grade>/...`` or ``<split>/<grade>/...`` in the root, with ``train``, ``val`` and ``test`` as splits (or
    ``training``, ``valid``, ``validation``, ``testing``). Images may lie in folders of their own below the grade. A
    folder ``unlabelled`` beside the grades, or beside the splits, holds ungraded images. DICOM files need no ending.

    Grade order: ``--grades`` gives the names of the folders, the mildest first. It may be left out when they are called
    0, 1, 2 and so on. It is never alphabetical.

    Split: by the outer folders; without them, all is drawn.

    Group: ``--group-pattern``; without it, DICOM images are grouped by the PatientID of their header, which is written
    nowhere.

    Quirks: a file such as ``a_mask.png`` beside ``a.png`` is no image.

    Args:
        grades: names of the grade folders, the mildest first.
        group_pattern: regular expression with one capture group, the patient, which is searched in the path of an image
            from its grade folder, such as ``^([^/]+)/`` for one folder a patient.
        spatial_dims: 2: every file is an image; 3: DICOM files that lie directly in one folder are one image, as are
            multi-frame DICOM, NIfTI, NRRD and MetaImage files.
        masks: folder with mask files in the same folders and of the same names as the images, with any image ending,
            and with or without ``_mask``, ``_seg`` or ``_segmentation`` before it; may be the root itself.
    """

    name = "folder"
    title = "any images in one folder for each grade"

    def __init__(
        self,
        *,
        grades: Sequence[str] | None = None,
        group_pattern: str | None = None,
        spatial_dims: int = 2,
        masks: str | None = None,
    ) -> None:
        self.names = grades
        self.group_pattern = None if group_pattern is None else _compile(group_pattern)
        self.spatial_dims = spatial_dims
        self.masks = None if masks is None else Path(masks).absolute()

    @classmethod
    def add_arguments(cls, parser: ArgumentParser | _ArgumentGroup) -> None:
        parser.add_argument(
            "--grades", type=names, metavar="NAME,NAME,...", help="names of the grade folders, the mildest first"
        )
        parser.add_argument(
            "--group-pattern",
            metavar="REGEX",
            help="finds the patient, its one capture group, in the path of an image from its grade folder",
        )
        parser.add_argument(
            "--spatial-dims",
            type=int,
            choices=(2, 3),
            default=2,
            help="3: a folder of DICOM slices is one image; 2: every file is one (default)",
        )
        parser.add_argument("--masks", metavar="FOLDER", help="folder with masks of the same names as the images")

    def read(self, root: Path, work: Path) -> Collection:
        root = require_folder(root.absolute(), EXPECTED)
        split_of = self._find_folders(root)
        files = {folder: list_images(folder, recursive=True, dicom_by_content=True) for folder in split_of}
        grades = self._grades(
            root, [folder.name for folder in split_of if files[folder] and not _is_unlabelled(folder)]
        )
        collection = Collection(root.name, grades)
        for folder in split_of:
            if files[folder] and folder.name not in grades and not _is_unlabelled(folder):
                n_files = len(files.pop(folder))
                collection.notes.append(f"{n_files} image file(s) in {folder} are left out: not one of --grades")
        listed = [file for of_folder in files.values() for file in of_folder]
        images = without_masks(listed)
        if len(images) < len(listed):
            n_masks = len(listed) - len(images)
            collection.notes.append(f"{n_masks} file(s) named like the mask of another image are not taken for images")
        for image in find_volumes(images, collection) if self.spatial_dims == 3 else images:
            folder = next(parent for parent in (image, *image.parents) if parent in files)
            severity = grades.index(folder.name) if folder.name in grades else None
            group = None if self.group_pattern is None else _group(self.group_pattern, image, folder)
            collection.records.append(Record(image, severity, group, split_of[folder]))
        if self.masks is not None:
            _add_masks(collection, root, self.masks, images)
        if self.group_pattern is None:
            group_by_patient(collection, "--group-pattern")
        return collection

    def _find_folders(self, root: Path) -> dict[Path, str | None]:
        """Grade folders and those of ungraded images, each with its split."""
        top = self._subfolders(root)
        split_of = {folder: split_from_name(folder.name) for folder in top}
        if not any(split_of.values()):
            return split_of
        folders: dict[Path, str | None] = {}
        for folder, split in split_of.items():
            if split is not None:
                folders.update(dict.fromkeys(self._subfolders(folder), split))
            elif _is_unlabelled(folder):
                folders[folder] = None
            else:
                splits = ", ".join(folder.name for folder, split in split_of.items() if split)
                raise InputError(f"{root}: holds {folder.name} beside the split folders {splits}; move it into one")
        return folders

    def _subfolders(self, folder: Path) -> list[Path]:
        return sorted(
            path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".") and path != self.masks
        )

    def _grades(self, root: Path, found: Sequence[str]) -> tuple[str, ...]:
        """Names of the grades in order, where ``found`` are the folders with images."""
        listed = ", ".join(list(dict.fromkeys(found))[:SHOWN]) or "none"
        if self.names is not None:
            for name in self.names:
                if name not in found:
                    raise InputError(f"{root}: no folder {name!r} with images, as --grades says; found {listed}")
            return tuple(self.names)
        numbers = tuple(str(severity) for severity in range(len(set(found))))
        if not found:
            raise InputError(f"{root}: no folder with images in it; --root must hold {EXPECTED}")
        if set(found) != set(numbers):
            raise InputError(
                f"{root}: found the folders {listed}, which are not numbered 0, 1, 2, ...; name them in order, the "
                "mildest first, with --grades MILDEST,...,WORST"
            )
        return numbers


def _is_unlabelled(folder: Path) -> bool:
    return folder.name.casefold() in UNLABELLED


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"--group-pattern {pattern!r}: not a regular expression ({error})") from error
    if compiled.groups != 1:
        raise InputError(
            f"--group-pattern {pattern!r}: has {compiled.groups} capture groups; put one, the patient, in parentheses"
        )
    return compiled


def _group(pattern: re.Pattern[str], image: Path, folder: Path) -> str:
    found = pattern.search(image.relative_to(folder).as_posix())
    if found is None or not found[1]:
        raise InputError(
            f"--group-pattern {pattern.pattern!r}: finds no patient in {image.relative_to(folder)} of {folder}; "
            "extend the pattern, or move the file"
        )
    return found[1]


def _add_masks(collection: Collection, root: Path, folder: Path, no_masks: Sequence[Path]) -> None:
    if not folder.is_dir():
        raise InputError(f"--masks: {folder} is not a folder")
    masks, n_unused = find_masks([record.image for record in collection.records], root, folder, no_masks)
    if not masks:
        raise InputError(f"--masks: no file in {folder} lies there as an image lies in {root}, and has its name")
    collection.structures = ("mask",)
    several = {image for image, files in masks.items() if len(files) > 1}
    for n, record in enumerate(collection.records):
        if record.image in masks and record.image not in several:
            collection.records[n] = dataclasses.replace(record, masks={"mask": masks[record.image][0]})
    if several:
        collection.notes.append(f"{len(several)} image(s) with several mask files go without; merge them into one file")
    if n_unused:
        collection.notes.append(f"{n_unused} file(s) in {folder} are the mask of no image")
