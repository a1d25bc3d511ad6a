# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path

from monai_semise.apps.datasets.examine import Examination
from monai_semise.data.collection import Problem, ProblemKind, Record

__all__ = ["group_key", "leave_out"]

SPLIT_ORDER = ("test", "validation", "training", None)
"""Of two copies of an image, and of a patient in two splits, what stands first here is kept: a published test set
stays whole, and training loses the image."""

GROUP = "group "


def group_key(record: Record) -> str:
    """The group of a record; an image of which none is known stands alone."""
    return f"image {record.image}" if record.group is None else f"{GROUP}{record.group}"


def leave_out(
    records: Sequence[Record],
    examinations: Sequence[Examination],
    earlier: Mapping[Path, str] | None = None,
) -> tuple[list[Record], list[Problem]]:
    """Sort out the images that a model must not be trained or tested on.

    Of copies of one image the first by split, presence of a grade and of masks, and path is kept; when their grades
    differ nobody knows which is right, and all go. Groups that hold copies of one image are taken for one patient. Of
    a patient in two splits, the images in the lesser one go.

    What an earlier datalist holds comes before all of this, so that images which are added never take the place of its
    own: of two files that stand for one image its own is kept, and of its patients the images that are added elsewhere
    go.

    Args:
        records: the images.
        examinations: what reading them told, in the same order.
        earlier: section ("training", "validation" or "test") of the images that are in an earlier datalist.

    Returns:
        the images that are left, with merged groups and one split for all of a group, and what is wrong
        with the others.
    """
    earlier = earlier or {}
    problems: list[Problem] = []
    usable: list[tuple[Record, str]] = []
    for record, seen in zip(records, examinations):
        if seen.kind is None:
            usable.append((record, seen.digest))
        else:
            problems.append(Problem(seen.kind, record.image, seen.detail))
    usable = _without_case_twins(usable, earlier, problems)
    usable, same_patient = _without_copies(usable, earlier, problems)
    merged = _merge_groups((record for record, _ in usable), same_patient)
    published = {record.split for record in records}
    return _without_split_patients(merged, earlier, published, problems), problems


def _without_case_twins(
    usable: list[tuple[Record, str]], earlier: Collection[Path], problems: list[Problem]
) -> list[tuple[Record, str]]:
    first: dict[str, Path] = {}
    for record, _ in sorted(usable, key=lambda entry: entry[0].image not in earlier):
        first.setdefault(str(record.image).lower(), record.image)
    kept = []
    for record, digest in usable:
        twin = first[str(record.image).lower()]
        if twin != record.image:
            detail = f"is one file with {twin} on Windows and macOS; rename one"
            problems.append(Problem(ProblemKind.NAME_CASE, record.image, detail))
        else:
            kept.append((record, digest))
    return kept


def _without_copies(
    usable: list[tuple[Record, str]], earlier: Mapping[Path, str], problems: list[Problem]
) -> tuple[list[tuple[Record, str]], list[list[str]]]:
    """The records without copies, and the groups that copies show to be one patient."""

    def split_of(record: Record) -> str | None:
        return earlier.get(record.image, record.split)

    def preference(record: Record) -> tuple:
        split = SPLIT_ORDER.index(split_of(record))
        return record.image not in earlier, split, record.severity is None, not record.masks, str(record.image)

    same_patient: list[list[str]] = []
    gone: set[int] = set()
    for places in _by(range(len(usable)), lambda n: usable[n][1]).values():
        if len(places) == 1:
            continue
        copies = {n: usable[n][0] for n in sorted(places, key=lambda n: preference(usable[n][0]))}
        same_patient.append([group_key(record) for record in copies.values()])
        first_of: dict[int | None, Record] = {}
        for record in copies.values():
            first_of.setdefault(record.severity, record)
        if len(first_of.keys() - {None}) > 1:
            for record in copies.values():
                twin = next(one for severity, one in first_of.items() if severity not in (record.severity, None))
                own = "ungraded" if record.severity is None else f"severity {record.severity}"
                detail = f"{own}; {twin.image} holds the same image with severity {twin.severity}"
                problems.append(Problem(ProblemKind.CONFLICT, record.image, detail))
            gone.update(copies)
            continue
        (_, kept), *others = copies.items()
        for n, record in others:
            here, there = split_of(record), split_of(kept)
            leak = f", in {there}, where this one is in {here}" if here and there and here != there else ""
            same = "is listed twice" if record.image == kept.image else f"is the same image as {kept.image}"
            problems.append(Problem(ProblemKind.DUPLICATE, record.image, same + leak))
            gone.add(n)
    return [entry for n, entry in enumerate(usable) if n not in gone], same_patient


def _merge_groups(records: Iterable[Record], same_patient: Sequence[Sequence[str]]) -> list[Record]:
    """Give the groups of each entry of ``same_patient`` one name."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while key in parent:
            parent[key] = parent.get(parent[key], parent[key])  # halves the way, or long chains would be walked anew
            key = parent[key]
        return key

    for keys in same_patient:
        first, *others = sorted({root(key) for key in keys})  # "group ..." comes before "image ..."
        parent.update(dict.fromkeys(others, first))
    merged = []
    for record in records:
        name = root(group_key(record))
        merged.append(dataclasses.replace(record, group=name.removeprefix(GROUP) if name.startswith(GROUP) else None))
    return merged


def _without_split_patients(
    records: list[Record], earlier: Mapping[Path, str], published: Collection[str | None], problems: list[Problem]
) -> list[Record]:
    split_of: dict[Hashable, str | None] = {}
    for key, group in _by(records, group_key).items():
        of_earlier = [earlier[record.image] for record in group if record.image in earlier]
        split_of[key] = min(of_earlier or [record.split for record in group], key=SPLIT_ORDER.index)
    kept = []
    for record in records:
        here, there = earlier.get(record.image, record.split), split_of[group_key(record)]
        carved_out = here == "training" and record.image not in earlier and there not in published
        if here in (there, None) or carved_out:
            kept.append(dataclasses.replace(record, split=there))
        else:
            detail = f"in {here}; the patient is also in {there}"
            problems.append(Problem(ProblemKind.SPLIT, record.image, detail))
    return kept


def _by(entries: Iterable, key: Callable[..., Hashable]) -> dict[Hashable, list]:
    """Entries by their key, in order of appearance."""
    result: dict[Hashable, list] = defaultdict(list)
    for entry in entries:
        result[key(entry)].append(entry)
    return result
