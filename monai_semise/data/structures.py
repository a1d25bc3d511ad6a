# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Which images have masks, and of what."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monai_semise.data.datalist import Item, read_names
from monai_semise.utils import InputError

__all__ = ["annotated_items", "read_structures", "require_structures"]


def read_structures(path: str | os.PathLike) -> list[str]:
    """Names of what the masks of a datalist outline: its list ``structures``, or ``["lesion"]`` where it has none.

    Raises:
        InputError: when the datalist cannot be read, or a name comes twice.
    """
    names = read_names(path, "structures")
    names = ["lesion"] if names is None else names
    if not names or len(set(names)) < len(names):
        raise InputError(f"datalist {path}: structures: expected names that differ, found {names}")
    return names


def annotated_items(
    datalist: Mapping[str, Sequence[Mapping[str, Any]]], structures: Sequence[str]
) -> dict[str, list[Item]]:
    """Items to segment: those with a mask, by section. An image without a ``mask`` was not annotated, which does not
    mean that it shows nothing: it is left out, and their number is logged.

    Args:
        datalist: sections as of :func:`monai_semise.data.load_datalist`.
        structures: names of the structures.

    Returns:
        training (with what is annotated among the unlabelled, since a mask needs no grade), validation and test;
        ``index`` is the position in its section.

    Raises:
        InputError: when no image of training or validation has a mask, or an item has not one mask for each structure.

    Example:
        >>> items = [{"image": "a.png", "mask": "a_mask.png"}, {"image": "b.png"}, {"image": "c.png", "mask": [None]}]
        >>> annotated = annotated_items({"training": items[:2], "validation": items[2:]}, ["lesion"])
        >>> annotated["training"]
        [{'image': 'a.png', 'mask': 'a_mask.png', 'index': 0}]
    """
    sections: dict[str, list[Item]] = {}
    counts = []
    for section, sources in (
        ("training", ("training", "unlabelled")),
        ("validation", ("validation",)),
        ("test", ("test",)),
    ):
        items = [item for source in sources for item in datalist.get(source, [])]
        annotated = [item for item in items if item.get("mask") is not None]
        for item in annotated:
            if isinstance(item["mask"], list) and len(item["mask"]) != len(structures):
                raise InputError(
                    f"{section}: {item['image']} has {len(item['mask'])} masks where there are {len(structures)} "
                    f"structures ({', '.join(structures)}); list one for each, null where the image does not show it, "
                    'and name them in the datalist: "structures": [...]'
                )
        if not annotated and section != "test":
            raise InputError(
                f"{section}: none of {len(items)} images has a mask; add masks to the datalist, [null] where an "
                "image is known to show no lesion"
            )
        sections[section] = [{**item, "index": n} for n, item in enumerate(annotated)]
        counts.append(f"{section} {len(annotated)} ({len(items) - len(annotated)} without a mask left out)")
    logging.getLogger("monai_semise").info(f"Images with a mask: {', '.join(counts)}")
    return sections


def require_structures(
    items: Iterable[Mapping[str, Any]], structures: Sequence[str], section: str, every: bool = True
) -> None:
    """Check that there is something to learn, or to measure: some mask that is not empty.

    Args:
        items: loaded items with a ``mask`` of shape (S, *spatial); read until all structures have been seen.
        structures: names of the structures.
        section: what to call the items in an error.
        every: whether each structure has to be seen, or just any.

    Raises:
        InputError: naming the structures that no mask shows.
    """
    missing = set(range(len(structures)))
    for item in items:
        missing -= {n for n in missing if item["mask"][n].any()}
        if not missing or (not every and len(missing) < len(structures)):
            return
    names = ", ".join(structures[n] for n in sorted(missing))
    raise InputError(
        f"{section}: no mask shows {names}; check the masks, add images that show it, or take it out of structures"
    )
