# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import difflib
import hashlib
import json
import os
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_semise.utils import InputError, write_json

__all__ = [
    "SECTIONS",
    "UNGRADED",
    "check_datalist",
    "datalist_digest",
    "grade_names",
    "graded_items",
    "healthy_indices",
    "load_datalist",
    "read_grade_names",
    "read_names",
    "write_datalist",
]

SECTIONS = ("training", "validation", "test", "unlabelled")
FIELDS = ("image", "severity", "mask", "group")
UNGRADED = -1
"""Severity of an image without a grade, once loaded."""
MAX_SEVERITY = 1000
"""Highest grade; above it lies a misplaced value, such as an id, rather than a grade."""

Item = dict[str, Any]
Datalist = dict[str, list[Item]]


def load_datalist(
    path: str | os.PathLike,
    base_dir: str | os.PathLike | None = None,
    required: Sequence[str] = ("training",),
    graded: bool = True,
) -> Datalist:
    """Read and check a datalist: a Decathlon-style JSON file of what to train, validate and test on.

    .. code-block:: json

        {"training":   [{"image": "a.png", "severity": 0, "group": "patient-1"}],
         "validation": [{"image": "b.png", "severity": 2, "mask": "b_mask.png"}],
         "test": [],
         "unlabelled": [{"image": "c.png"}]}

    ``severity`` is a whole number, 0 = healthy, missing or null = ungraded; ``mask`` and ``group`` (patient or study,
    never split between training and the other sections) are optional. ``mask`` is a file, or a list of one file for
    each of the datalist's ``structures``, null where the structure is absent. Fields of your own are kept.

    Args:
        path: the JSON file.
        base_dir: folder that relative image paths start from; by default that of the file.
        required: sections that must not be empty.
        graded: whether training needs grades, as for severity; not so for segmentation.

    Returns:
        the four sections. Every item has an absolute ``image``, an integer ``severity`` (:data:`UNGRADED` = -1 when it
        has none) and an ``index``: its position in its section; unlabelled items count on from the training ones, so
        that ``training + unlabelled`` is numbered throughout.

    Raises:
        InputError: naming the item and the field, when anything cannot be used.
    """
    path = Path(path)
    content = _read_json(path)
    if not isinstance(content, dict) or not any(section in content for section in SECTIONS):
        raise InputError(
            f"datalist {path}: expected an object with the lists {', '.join(SECTIONS)}; found "
            f"{list(content)[:5] if isinstance(content, dict) else type(content).__name__}"
        )
    for key, value in content.items():
        if key not in SECTIONS and isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
            guess = difflib.get_close_matches(key, SECTIONS, n=1, cutoff=0.5)
            hint = f'; did you mean "{guess[0]}"?' if guess else f"; the sections are {', '.join(SECTIONS)}"
            raise InputError(f'datalist {path}: unknown section "{key}"{hint}')
    root = Path(base_dir).absolute() if base_dir is not None else path.absolute().parent
    structures = content.get("structures")
    n_structures = len(structures) if isinstance(structures, list) else None
    datalist: Datalist = {}
    for section in SECTIONS:
        entries = content.get(section, [])
        if not isinstance(entries, list):
            raise InputError(f"datalist {path}: {section} must be a list, found {type(entries).__name__}")
        start = len(datalist["training"]) if section == "unlabelled" else 0
        datalist[section] = [
            {**_check_item(entry, f"{section}[{n}]", section, root, n_structures), "index": start + n}
            for n, entry in enumerate(entries)
        ]
    for section in required:
        if not datalist[section]:
            raise InputError(f"datalist {path}: the {section} section is empty; give it graded images")
    if datalist["training"]:
        check_datalist(datalist, name=f"datalist {path}", graded=graded)
    return datalist


def read_grade_names(path: str | os.PathLike) -> list[str] | None:
    """Names of the grades, from 0, when the datalist gives them as a list ``grades``; None otherwise."""
    return read_names(path, "grades")


def read_names(path: str | os.PathLike, field: str) -> list[str] | None:
    """The list of names that the datalist gives under ``field``, beside its sections; None when it gives none."""
    content = _read_json(Path(path))
    names = content.get(field) if isinstance(content, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else None


def grade_names(path: str | os.PathLike, items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the grades, from 0: those that the datalist gives, or the numbers up to the highest of the items.

    Raises:
        InputError: when an item has a grade beyond those that the datalist names.
    """
    names = read_grade_names(path)
    if names is None:
        return [str(n) for n in range(1 + max(item["severity"] for item in items))]
    check_scale(items, len(names))
    return names


def check_scale(items: Sequence[Mapping[str, Any]], n_grades: int | None) -> None:
    """Check that no item has a grade beyond a scale of so many grades; None is no scale.

    Raises:
        InputError: naming the first that has.

    Example:
        >>> check_scale([{"image": "a.png", "severity": 2}], n_grades=3)
    """
    if n_grades is None:
        return
    for item in items:
        if item["severity"] >= n_grades:
            raise InputError(
                f"{item['image']}: severity {item['severity']} is outside the scale of {n_grades} grades, 0 to "
                f'{n_grades - 1}; name every grade in the datalist\'s "grades", or give the right --n_grades where it '
                "was set"
            )


def datalist_digest(datalist: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """What a loaded datalist says, as one short text, by which to tell whether it is still the same.

    Example:
        >>> items = [{"image": "a.png", "severity": 0}]
        >>> datalist_digest({"test": items}) == datalist_digest({"test": [{"severity": 0, "image": "a.png"}]})
        True
    """
    return hashlib.sha256(json.dumps(datalist, sort_keys=True, default=str).encode()).hexdigest()


def graded_items(datalist: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[Item]]:
    """The sections without what has no grade; ``index`` is the position among what is left.

    Example:
        >>> items = [{"image": "a.png", "severity": -1, "index": 0}, {"image": "b.png", "severity": 2, "index": 1}]
        >>> graded_items({"training": items})
        {'training': [{'image': 'b.png', 'severity': 2, 'index': 0}]}
    """
    graded = {name: [item for item in items if item["severity"] != UNGRADED] for name, items in datalist.items()}
    return {name: [{**item, "index": n} for n, item in enumerate(items)] for name, items in graded.items()}


def write_datalist(path: str | os.PathLike, datalist: Mapping[str, Any]) -> None:
    """Write a datalist as JSON, whole or not at all.

    Image and mask paths inside the folder of ``path`` become relative to it, so that the folder can be moved.

    Args:
        path: the JSON file to write.
        datalist: sections as in :func:`load_datalist`; other keys (a name, a description) are written as they are.
    """
    folder = Path(path).absolute().parent

    def portable(item: Mapping[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in item.items() if v is not None and k != "index" and (k, v) != ("severity", UNGRADED)}
        return {k: relative(v) if k in ("image", "mask") else v for k, v in kept.items()}

    def relative(file: Any) -> Any:
        if isinstance(file, list):
            return [relative(entry) for entry in file]
        inside = file is not None and Path(file).is_absolute() and Path(file).is_relative_to(folder)
        return Path(file).relative_to(folder).as_posix() if inside else file

    write_json(path, {k: [portable(i) for i in v] if k in SECTIONS else v for k, v in datalist.items()})


def check_datalist(
    datalist: Mapping[str, Sequence[Mapping[str, Any]]], name: str = "datalist", graded: bool = True
) -> None:
    """Check that the sections can be trained on together.

    Args:
        datalist: sections as returned by :func:`load_datalist`.
        name: what to call it in an error.
        graded: whether training needs grades.

    Raises:
        InputError: for an empty training section, no healthy training image, a single grade, an image or a group that
            is both in training and in another section, or an image listed twice.
    """
    training = datalist.get("training", [])
    if not training:
        raise InputError(f"{name}: the training section is empty; give it at least two graded images")
    if graded:
        _check_grades(training, name)
    _check_split(datalist, name)


def _check_grades(training: Sequence[Mapping[str, Any]], name: str) -> None:
    grades = sorted({item["severity"] for item in training if item["severity"] != UNGRADED})
    if not grades:
        raise InputError(f"{name}: no training image has a severity; grade some of them (0 = healthy, 1, 2, ...)")
    if grades[0] != 0:
        raise InputError(
            f"{name}: no healthy training image (severity 0) found, only severity {grades}; "
            "the severity score is the distance from healthy, so add healthy images or let 0 be the mildest grade"
        )
    if len(grades) == 1:
        raise InputError(f"{name}: all training images have severity {grades[0]}; add images of at least one other")


def _check_split(datalist: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> None:
    seen: dict[str, str] = {}
    group_of: dict[str, tuple[str, str]] = {}
    for section in SECTIONS:
        side = "training" if section == "unlabelled" else section
        for n, item in enumerate(datalist.get(section, [])):
            where = f"{section}[{n}]"
            file = os.path.realpath(item["image"])
            if file in seen:
                raise InputError(f"{name}: {where}.image: {item['image']} is also {seen[file]}; list it once")
            seen[file] = where
            group = item.get("group")
            if group is None:
                continue
            first, first_side = group_of.setdefault(str(group), (where, side))
            if first_side != side:
                raise InputError(
                    f"{name}: {where}.group: {group!r} is also in {first}; "
                    "a patient must not be on both sides of a split, so move all of its images to one section"
                )


def healthy_indices(items: Sequence[Mapping[str, Any]]) -> list[int]:
    """``index`` of the healthy items (severity 0) among datalist items.

    Example:
        >>> healthy_indices([{"index": 0, "severity": 2}, {"index": 1, "severity": 0}])
        [1]
    """
    return [int(item["index"]) for item in items if item["severity"] == 0]


def _read_json(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"datalist {path}: cannot be read ({error})") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of more digits than Python reads
        raise InputError(f"datalist {path}: not valid JSON ({error})") from error


def _check_item(entry: Any, where: str, section: str, root: Path, n_structures: int | None) -> Item:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: expected an object with an image, found {type(entry).__name__}")
    for field in entry:
        if field in FIELDS:
            continue
        guess = difflib.get_close_matches(field, FIELDS, n=1, cutoff=0.8)
        if guess:
            raise InputError(f'{where}: unknown field "{field}"; did you mean "{guess[0]}"?')
    item = dict(entry)
    item["image"] = _check_path(item.get("image"), f"{where}.image", root)
    mask = item.pop("mask", None)
    if isinstance(mask, list):
        if not mask or n_structures not in (None, len(mask)):
            raise InputError(
                f"{where}.mask: expected a list of one file for each structure, null where it is absent; found "
                f"{len(mask)} where the datalist names {'none' if n_structures is None else n_structures}"
            )
        item["mask"] = [
            None if file is None else _check_path(file, f"{where}.mask[{n}]", root) for n, file in enumerate(mask)
        ]
    elif mask is not None:
        item["mask"] = _check_path(mask, f"{where}.mask", root)
    item["severity"] = _check_severity(entry.get("severity"), f"{where}.severity")
    if section == "unlabelled" and item["severity"] != UNGRADED:
        raise InputError(f"{where}.severity: {item['severity']} in the unlabelled section; move it to training")
    if item.get("group") is None:
        item.pop("group", None)
    elif not isinstance(item["group"], (str, int)) or isinstance(item["group"], bool):
        raise InputError(f"{where}.group: expected a patient or study id (text or number), found {item['group']!r}")
    return item


def _check_path(value: Any, where: str, root: Path) -> str:
    if not isinstance(value, str) or not value or not _is_encodable(value):
        raise InputError(f"{where}: expected a file path, found {value!r}")
    path = root / value
    try:
        exists = path.exists()
    except OSError:  # a name too long for the file system
        exists = False
    if not exists:
        raise InputError(f"{where}: {path} does not exist; correct the path, or remove the item")
    return str(path)


def _is_encodable(path: str) -> bool:
    """Whether a file can have this name: JSON can hold half a surrogate pair, and a NUL."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _check_severity(value: Any, where: str) -> int:
    if value is None:
        return UNGRADED
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
        raise InputError(f"{where}: {value!r} is not a whole number; use 0 (healthy), 1, 2, ..., or leave it out")
    if value < 0:
        raise InputError(f"{where}: {value!r} is negative; use 0 (healthy), 1, 2, ..., or leave it out when ungraded")
    if value > MAX_SEVERITY:
        raise InputError(f"{where}: {reprlib.repr(value)} is above {MAX_SEVERITY}; use 0 (healthy), 1, 2, ...")
    return int(value)
