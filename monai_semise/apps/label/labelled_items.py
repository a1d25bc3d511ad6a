# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_semise.apps.datasets.dicom_files import is_dicom_file, read_header
from monai_semise.apps.label.datastore import SharedDatastore
from monai_semise.comparison import Answer
from monai_semise.utils import InputError

__all__ = ["compared_sections", "graded_sections", "outlined_sections"]

VALIDATION_SHARE = 0.25
"""Of the patients."""

Sections = dict[str, list[dict[str, Any]]]


def graded_sections(datastore: SharedDatastore, n_grades: int) -> Sections:
    """What people graded so far: images whose info has a ``grade``.

    Args:
        datastore: of the server.
        n_grades: of the model.

    Returns:
        ``training`` and ``validation`` items; a patient stays in one of them whatever else is labelled later.

    Raises:
        InputError: when a grade is none, or there are too few images.
    """
    graded = [image for image, info in datastore.image_infos().items() if _grade(image, info, n_grades) is not None]
    sections = _sections(datastore, graded, n_grades)
    for name, found in sections.items():
        if len({item["severity"] for item in found}) < 2:
            raise InputError(f"{len(found)} graded images for {name}, of fewer than two grades; grade more images")
    return sections


def compared_sections(datastore: SharedDatastore, n_grades: int, answers: Sequence[Answer]) -> Sections:
    """What people compared so far, with the grades that people gave; see :func:`graded_sections`.

    Args:
        datastore: of the server.
        n_grades: of the model.
        answers: those on other images, and those that tell nothing, do not count.
    """
    images = set(datastore.list_images())
    told = [answer for answer in answers if answer.preference is not None and images.issuperset(answer.pair)]
    pairs = [answer.pair for answer in told]
    unequal = [answer.pair for answer in told if answer.preference != 0.5]
    sections = _sections(datastore, {image for pair in pairs for image in pair}, n_grades)
    for name, found in sections.items():
        files = {item["image"] for item in found}
        if not any(files.issuperset(map(datastore.path, pair)) for pair in unequal):
            raise InputError(
                f"no comparison of two images for {name} among {len(pairs)} in which one is worse, since a quarter of "
                "the patients are held out; compare more images"
            )
    return sections


def outlined_sections(datastore: SharedDatastore) -> Sections:
    """What people outlined so far: images with a final label; see :func:`graded_sections`."""
    masks = datastore.outlines()
    sections = _sections(datastore, masks, 0)
    for name, found in sections.items():
        if not found:
            raise InputError(f"no outlined images for {name} among {len(masks)}; outline more images")
        for item in found:
            item["mask"] = masks[item["id"]]
    return sections


def _sections(datastore: SharedDatastore, images: Iterable[str], n_grades: int) -> Sections:
    sections: Sections = {"training": [], "validation": []}
    infos = datastore.image_infos()
    for image in sorted(images):
        source = datastore.source(image)
        group = _patient(image, infos[image], Path(source))
        item: dict[str, Any] = {"id": image, "image": source, "group": group}
        grade = _grade(image, infos[image], n_grades) if n_grades else None
        if grade is not None:
            item["severity"] = grade
        held_out = int(group[:8], 16) < VALIDATION_SHARE * 2**32
        sections["validation" if held_out else "training"].append(item)
    return sections


def _grade(image: str, info: Mapping[str, Any], n_grades: int) -> int | None:
    grade = info.get("grade")
    if grade is None or (isinstance(grade, int) and 0 <= grade < n_grades):
        return grade
    raise InputError(f"{image}: grade {grade!r} is not a whole number from 0 to {n_grades - 1}; correct its info")


def _patient(image: str, info: Mapping[str, Any], source: Path) -> str:
    """A patient's number, which does not tell who it is."""
    known = info.get("PatientID")
    if known is None:
        file = min(source.iterdir()) if source.is_dir() else source
        known = read_header(file, ["PatientID"]).get("PatientID") if is_dicom_file(file) else None
    return hashlib.sha256(str(known or image).encode("utf-8", "surrogateescape")).hexdigest()[:16]
