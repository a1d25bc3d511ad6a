# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag

from monai_semise.utils import InputError

__all__ = ["graded_sections", "outlined_sections"]

VALIDATION_SHARE = 0.25
"""Of the patients."""

Sections = dict[str, list[dict[str, Any]]]


def graded_sections(datastore: Datastore, source: Callable[[str], str], n_grades: int) -> Sections:
    """What people graded so far: images whose info has a ``grade``.

    Args:
        datastore: of the server.
        source: gives the file of an image.
        n_grades: of the model.

    Returns:
        ``training`` and ``validation`` items; a patient stays in one of them whatever else is labelled later.

    Raises:
        InputError: when a grade is none, or there are too few images.
    """
    items = []
    for image in sorted(datastore.list_images()):
        info = datastore.get_image_info(image)
        grade = info.get("grade")
        if grade is None:
            continue
        if not isinstance(grade, int) or not 0 <= grade < n_grades:
            raise InputError(
                f"{image}: grade {grade!r} is not a whole number from 0 to {n_grades - 1}; correct its info"
            )
        items.append({"image": source(image), "severity": grade, "group": _patient(image, info)})
    sections = _sections(items)
    for name, found in sections.items():
        if len({item["severity"] for item in found}) < 2:
            raise InputError(f"{len(found)} graded images for {name}, of fewer than two grades; grade more images")
    return sections


def outlined_sections(datastore: Datastore, source: Callable[[str], str]) -> Sections:
    """What people outlined so far: images with a final label; see :func:`graded_sections`."""
    items = []
    for image in sorted(datastore.get_labeled_images()):
        info = datastore.get_image_info(image)
        mask = datastore.get_label_uri(image, DefaultLabelTag.FINAL)
        items.append({"image": source(image), "mask": mask, "group": _patient(image, info)})
    sections = _sections(items)
    for name, found in sections.items():
        if not found:
            raise InputError(f"no outlined images for {name} among {len(items)}; outline more images")
    return sections


def _patient(image: str, info: Mapping[str, Any]) -> str:
    return str(info.get("PatientID") or image)


def _sections(items: list[dict[str, Any]]) -> Sections:
    sections: Sections = {"training": [], "validation": []}
    for item in items:
        digest = hashlib.sha256(item["group"].encode("utf-8", "surrogateescape")).digest()
        held_out = int.from_bytes(digest[:4], "big") < VALIDATION_SHARE * 2**32
        sections["validation" if held_out else "training"].append(item)
    return sections
