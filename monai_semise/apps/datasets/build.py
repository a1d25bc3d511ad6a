# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_semise.apps.datasets.curate import group_key, leave_out
from monai_semise.apps.datasets.examine import examine_images
from monai_semise.data.collection import Collection, Record
from monai_semise.data.splits import check_labelled_share, check_split_shares, draw_labelled_groups, draw_split
from monai_semise.utils import InputError

__all__ = ["SPLITS", "DatalistOptions", "build_datalist"]

SPLITS = ("official", "drawn")
DRAWN = ("test", "validation")


@dataclasses.dataclass(frozen=True)
class DatalistOptions:
    """How a collection becomes a datalist.

    Args:
        validation: share of all labelled images to draw for validation, unless the data set publishes one.
        test: share of all labelled images to draw for testing, unless the data set publishes one.
        split: ``"official"`` follows the published split where there is one, ``"drawn"`` draws anew.
        labelled: share of the training patients that keep their grades and masks; the others become unlabelled.
        seed: of both draws.

    Raises:
        InputError: when a share is out of range, or the split is another word.
    """

    validation: float = 0.15
    test: float = 0.15
    split: str = "official"
    labelled: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_split_shares({name: getattr(self, name) for name in DRAWN})
        check_labelled_share(self.labelled)
        if self.split not in SPLITS:
            raise InputError(f"split: {self.split!r} is not {' or '.join(SPLITS)}")


def build_datalist(
    collection: Collection,
    options: DatalistOptions,
    earlier: Mapping[Path, str] | None = None,
    folders: Sequence[Path] = (),
    num_workers: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Check every image of a collection and split it into the sections of a datalist.

    What is wrong with single images is added to ``collection.problems``, what is worth knowing to
    ``collection.notes``.

    Args:
        collection: as a source reads it.
        options: see :class:`DatalistOptions`.
        earlier: section ("training", "validation" or "test") of images in an earlier datalist; they and their patients
            stay there.
        folders: those of the data set: an image without a patient is drawn by its path from there, so that the draw is
            the same wherever the data set lies.
        num_workers: processes that decode the images.
        progress: whether to show a progress bar.

    Returns:
        the content of the datalist: ``name``, ``grades``, ``structures`` and the four sections.

    Raises:
        InputError: when no image of the earlier datalist is in the collection.
    """
    records = collection.records
    if options.split == "drawn":
        records = [dataclasses.replace(record, split=None) for record in records]
    stays = _earlier_images(records, earlier or {})
    if earlier and not stays:
        raise InputError(
            f"none of the {len(earlier)} images of the earlier datalist is in the data set, so none can stay in its "
            "section; give --resplit to draw anew, or name another file"
        )
    kept, problems = leave_out(records, examine_images(records, num_workers, progress), stays)
    collection.problems += problems
    names = {group_key(record): _portable_key(record, folders) for record in kept}
    section_of = _sections(kept, names, options, {record.split for record in records}, stays)
    labelled = _labelled_groups(kept, names, section_of, options)
    group_names = _group_names(kept, collection.private_groups)
    items: dict[str, list[dict[str, Any]]] = {name: [] for name in ("training", "validation", "test", "unlabelled")}
    n_lost = 0
    for record in kept:
        section = section_of[names[group_key(record)]]
        if section == "training" and not (_has_label(record) and names[group_key(record)] in labelled):
            section = "unlabelled"
        elif not _has_label(record):
            n_lost += 1  # not training either: its patient is tested
            continue
        items[section].append(_item(record, section, group_names, collection.structures))
    if n_lost:
        collection.notes.append(f"{n_lost} ungraded image(s) of validation and test patients are left out")
    if earlier:
        n_stay = sum(record.image in stays for record in kept)
        collection.notes.append(
            f"{n_stay} of the {len(earlier)} images of the earlier datalist and their patients stay in their sections"
        )
    header: dict[str, Any] = {"name": collection.name, "grades": list(collection.grades)}
    if collection.structures:
        header["structures"] = list(collection.structures)
    return {**header, **items}


def _earlier_images(records: Sequence[Record], earlier: Mapping[Path, str]) -> dict[Path, str]:
    """Section of those images that are in the earlier datalist, by whatever path it names them."""
    if not earlier:
        return {}
    section = {os.path.realpath(image): name for image, name in earlier.items()}
    files = {record.image: os.path.realpath(record.image) for record in records}
    return {image: section[file] for image, file in files.items() if file in section}


def _portable_key(record: Record, folders: Sequence[Path]) -> str:
    """The group of a record by a name that does not change with the place of the data set."""
    folder = next((folder for folder in folders if record.image.is_relative_to(folder)), None)
    if record.group is not None or folder is None:
        return group_key(record)
    return group_key(dataclasses.replace(record, image=record.image.relative_to(folder)))


def _has_label(record: Record) -> bool:
    return record.severity is not None or bool(record.masks)


def _sections(
    records: Sequence[Record],
    names: Mapping[str, str],
    options: DatalistOptions,
    published: set[str | None],
    stays: Mapping[Path, str],
) -> dict[str, str]:
    """Section of every group: as before, as published, or drawn."""
    fixed = {
        names[group_key(record)]: record.split
        for record in records
        if record.split is not None and (record.split != "training" or record.image in stays)
    }
    labelled = [record for record in records if _has_label(record)]
    drawn = draw_split(
        [names[group_key(record)] for record in labelled],
        [-1 if record.severity is None else record.severity for record in labelled],
        {name: getattr(options, name) for name in DRAWN if name not in published},
        options.seed,
        fixed,
    )
    return {**dict.fromkeys(names.values(), "training"), **fixed, **drawn}


def _labelled_groups(
    records: Sequence[Record], names: Mapping[str, str], section_of: Mapping[str, str], options: DatalistOptions
) -> set[str]:
    training = [
        record for record in records if _has_label(record) and section_of[names[group_key(record)]] == "training"
    ]
    return draw_labelled_groups(
        [names[group_key(record)] for record in training],
        [-1 if record.severity is None else record.severity for record in training],
        options.labelled,
        options.seed,
        {names[group_key(record)] for record in training if record.masks},
    )


def _group_names(records: Sequence[Record], private: bool) -> dict[str, str]:
    """Names under which groups are written: their own, or numbers where these are identifiers."""
    names = dict.fromkeys(record.group for record in records if record.group is not None)
    return {name: f"patient-{n:05d}" if private else name for n, name in enumerate(names, start=1)}


def _item(record: Record, section: str, groups: Mapping[str, str], structures: Sequence[str]) -> dict[str, Any]:
    item: dict[str, Any] = {"image": str(record.image)}
    if section != "unlabelled":
        if record.severity is not None:
            item["severity"] = record.severity
        if record.masks:
            files = [record.masks.get(structure) for structure in structures]
            masks = [None if file is None else str(file) for file in files]
            item["mask"] = masks if len(masks) > 1 or masks[0] is None else masks[0]
    if record.group is not None:
        item["group"] = groups[record.group]
    return item
