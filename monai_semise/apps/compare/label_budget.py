# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_semise.data.datalist import UNGRADED
from monai_semise.data.splits import draw_labelled_groups

__all__ = ["reduce_labels"]

Item = dict[str, Any]


def reduce_labels(
    datalist: Mapping[str, Sequence[Mapping[str, Any]]], share: float, seed: int, root: str | os.PathLike
) -> dict[str, list[Item]]:
    """A datalist in which a share of the labelled patients of training keep their grades and masks.

    So do those of the unlabelled section that have a mask. The images of the others become unlabelled, as of
    ``python -m monai_semise datalist --labelled``. Draws with the same seed are nested: what a share keeps, every
    larger one keeps too.

    Args:
        datalist: sections as of :func:`monai_semise.data.load_datalist`.
        share: of the patients, in (0, 1].
        seed: of the draw.
        root: folder of the datalist: an image without a patient is drawn by its path from there, so that the draw is
            the same wherever the data set lies.

    Returns:
        the four sections, without ``index``.

    Raises:
        InputError: when ``share`` is not in (0, 1].

    Example:
        >>> items = [{"image": f"/d/{n}.png", "severity": n % 2, "index": n} for n in range(20)]
        >>> less = reduce_labels({"training": items}, 0.25, seed=0, root="/d")
        >>> len(less["training"]), len(less["unlabelled"])
        (5, 15)
    """
    pools = {name: datalist.get(name, ()) for name in ("unlabelled", "training")}
    labelled = [item for items in pools.values() for item in items if _is_labelled(item)]
    groups = [_group(item, Path(root)) for item in labelled]
    masked = {group for group, item in zip(groups, labelled) if "mask" in item}
    kept = draw_labelled_groups(groups, [item["severity"] for item in labelled], share, seed, masked)
    sections = {name: [dict(item) for item in items] for name, items in datalist.items() if name not in pools}
    sections |= {"training": [], "unlabelled": []}
    for name, items in pools.items():
        for item in items:
            if _is_labelled(item) and _group(item, Path(root)) in kept:
                sections[name].append(dict(item))
            else:
                hidden = {key: value for key, value in item.items() if key != "mask"}
                sections["unlabelled"].append({**hidden, "severity": UNGRADED})
    return {name: [{k: v for k, v in i.items() if k != "index"} for i in items] for name, items in sections.items()}


def _is_labelled(item: Mapping[str, Any]) -> bool:
    """Whether there is something to hide: also a mask among the unlabelled, from which a decoder would learn."""
    return item["severity"] != UNGRADED or "mask" in item


def _group(item: Mapping[str, Any], root: Path) -> str:
    if "group" in item:
        return str(item["group"])
    image = Path(item["image"])
    return image.relative_to(root).as_posix() if image.is_relative_to(root) else str(image)
