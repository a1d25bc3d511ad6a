# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from monai_semise.data.collection import ProblemKind, Record
from monai_semise.transforms import LoadCheckedImage
from monai_semise.utils import InputError

__all__ = ["Examination", "examine_images"]


@dataclass(frozen=True)
class Examination:
    """What reading an image and its masks in full tells.

    Args:
        digest: of the pixel values, equal for equal images whatever their file format; empty when unreadable.
        kind: what is wrong with the image alone, if anything.
        detail: what was found, when something is wrong.
    """

    digest: str = ""
    kind: ProblemKind | None = None
    detail: str = ""


def examine_images(records: Sequence[Record], num_workers: int = 0, progress: bool = True) -> list[Examination]:
    """Decode every image and mask, and look at what came.

    Args:
        records: the images.
        num_workers: processes that decode; 0 = this one.
        progress: whether to show a progress bar.

    Returns:
        one result for each record, in their order.
    """
    loader = DataLoader(_Examinations(records), batch_size=None, num_workers=num_workers)
    return list(tqdm(loader, desc="Checking images", unit="image", total=len(records), disable=not progress))


class _Examinations(Dataset):
    """The examination of each record, computed where it is asked for."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.load = LoadCheckedImage(channels=None, spatial_dims=None)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Examination:
        record = self.records[index]
        if not os.path.exists(record.image):
            return Examination(kind=ProblemKind.MISSING, detail="does not exist")
        try:
            image = self.load(record.image).as_tensor()
        except InputError as error:
            return Examination(kind=ProblemKind.UNREADABLE, detail=str(error).removeprefix(f"{record.image}: "))
        if image.numel() == 0:
            return Examination(kind=ProblemKind.UNREADABLE, detail="holds no pixels")
        digest = _digest(image)
        lowest, highest = torch.aminmax(image.flatten(1), dim=1)  # of each channel: an alpha channel is white
        if torch.equal(lowest, highest):
            return Examination(digest, ProblemKind.BLACK, f"every pixel is {', '.join(f'{v:g}' for v in lowest)}")
        for structure, mask_path in (record.masks or {}).items():
            if mask_path is None:
                continue
            if not os.path.exists(mask_path):
                return Examination(digest, ProblemKind.MISSING, f"its mask of {structure}, {mask_path}, does not exist")
            try:
                mask = self.load(mask_path).as_tensor().amax(0)
            except InputError as error:
                return Examination(digest, ProblemKind.UNREADABLE, f"its mask of {structure}: {error}")
            if mask.shape != image.shape[1:]:
                found, expected = (" x ".join(map(str, shape)) for shape in (mask.shape, image.shape[1:]))
                detail = f"{mask_path} is {found} where the image is {expected}"
                return Examination(digest, ProblemKind.MASK_SIZE, detail)
            if not _overlaps(mask > 0, image):
                detail = f"{mask_path} marks nothing but the background of the image"
                return Examination(digest, ProblemKind.MASK_OVERLAP, detail)
        return Examination(digest)


def _digest(image: Tensor) -> str:
    if len(image) > 1 and torch.equal(image, image[:1].expand_as(image)):
        image = image[:1]  # grey that is stored as colour
    digest = hashlib.blake2b(repr(tuple(image.shape)).encode(), digest_size=16)
    digest.update(image.contiguous().numpy().data)
    return digest.hexdigest()


def _overlaps(foreground: Tensor, image: Tensor) -> bool:
    """Whether the mask, unless it is empty, marks anything brighter than the background (the lowest value)."""
    if not foreground.any():
        return True
    brightness = image.sum(0)
    return bool(torch.any(brightness[foreground] > brightness.min()))
