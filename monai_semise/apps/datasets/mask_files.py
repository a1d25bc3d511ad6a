# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath

from monai_semise.apps.datasets.image_files import image_stem, list_images

__all__ = ["find_masks", "without_masks"]

ENDING = re.compile(r"_(mask|seg|segmentation)(_[0-9]+)?$", re.IGNORECASE)


def without_masks(images: Sequence[Path]) -> list[Path]:
    """Files without those that are named like a mask of another, such as ``a_mask.png`` beside ``a.png``.

    Example:
        >>> [path.name for path in without_masks([Path("a.png"), Path("a_mask.png"), Path("b_seg.png")])]
        ['a.png', 'b_seg.png']
    """
    keys = {(image.parent, image_stem(image)) for image in images}
    return [
        image
        for image in images
        if not ENDING.search(image_stem(image)) or (image.parent, _stem_without_ending(image)) not in keys
    ]


def find_masks(
    images: Sequence[Path], root: Path, folder: Path, no_masks: Collection[Path] = ()
) -> tuple[dict[Path, list[Path]], int]:
    """Mask files of each image: of the same path from ``folder`` as the image from ``root``, with any image ending,
    and with or without ``_mask``, ``_seg`` or ``_segmentation`` before it.

    Args:
        images: the images.
        root: folder of the images.
        folder: folder of the masks; may be ``root``.
        no_masks: files that are known to be none.

    Returns:
        the masks of those images that have any, and the number of files that are the mask of none.
    """
    masks: dict[tuple[PurePath, str], list[Path]] = defaultdict(list)
    for mask in sorted(set(list_images(folder, recursive=True)).difference(no_masks)):
        masks[mask.relative_to(folder).parent, _stem_without_ending(mask)].append(mask)
    keys = {image: (image.relative_to(root).parent, image_stem(image)) for image in images}
    of_image = {image: masks.pop(key) for image, key in keys.items() if key in masks}
    return of_image, sum(map(len, masks.values()))


def _stem_without_ending(path: Path) -> str:
    return ENDING.sub("", image_stem(path))
