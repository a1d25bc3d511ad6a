# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.metrics import compute_dice, compute_iou
from torch import Tensor

from monai_semise.engines import InputGeometry, masks_from_logits, probabilities_from_logits, resize_linearly
from monai_semise.handlers.result_writer import ResultWriterHandler
from monai_semise.transforms import LoadMask
from monai_semise.utils import plain_tensor, printable

__all__ = ["MaskWriterHandler"]

MEASURES = ("dice", "iou")


class MaskWriterHandler(ResultWriterHandler):
    """Write the masks of each image as batches come, what they measure to ``segmentation.csv``, and what could not be
    read to ``unreadable.csv``.

    Logits are interpolated to the size of the image, and only then decided on. Rows go to the disk batch by batch, and
    images are brought to their own size one at a time, so memory does not grow with their number. Both tables appear
    when all is done; a run that fails leaves the earlier ones.

    A row for each image and structure, with the columns ``image``; ``patient``; ``structure``; ``present``, 1 or 0;
    ``pixels``; ``predicted_share`` of the image; ``area_mm2``, or ``volume_ml`` in 3D, where the file tells the
    spacing; ``probability``, the mean over the mask's pixels, where there are any; where the item has a true mask,
    ``true_share`` and, where that shows the structure, ``dice`` and ``iou``; and ``mask``, the file.

    Args:
        folder: where the tables go.
        items: datalist items, by whose ``index`` the batches speak of them.
        structures: names of what the network outlines.
        write_masks: takes an item's index, its masks in 0 and 1, uint8 of shape (S, *spatial), and their
            :class:`~monai_semise.engines.InputGeometry`, and returns S names of files. See
            :class:`monai_semise.apps.inference.MaskFolder`.
        spatial_dims: of the images, 2 or 3.
        exclusive: see :func:`monai_semise.engines.masks_from_logits`.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        items: Sequence[Mapping[str, Any]],
        structures: Sequence[str],
        write_masks: Callable[[int, Tensor, InputGeometry], Sequence[str]],
        spatial_dims: int = 2,
        exclusive: bool = False,
    ) -> None:
        amount = "area_mm2" if spatial_dims == 2 else "volume_ml"
        columns = ("structure", "present", "pixels", "predicted_share", amount, "probability", "true_share", *MEASURES)
        super().__init__(folder, items, "segmentation.csv", (*columns, "mask"))
        self.structures = list(structures)
        self.write_masks = write_masks
        self.exclusive = exclusive
        self.amount, self.unit = amount, 1.0 if spatial_dims == 2 else 1e-3  # mm³ in a mL
        self.load_mask = LoadMask(len(self.structures), spatial_dims, exclusive)

    def _reader(self, batch: Mapping[str, Any], output: Any) -> Callable[[int], Iterable[Mapping[str, Any]]]:
        logits = plain_tensor(output).cpu()

        def rows(place: int) -> list[dict[str, Any]]:
            geometry = InputGeometry.from_text(batch["geometry"][place])
            return self._rows(int(batch["index"][place]), logits[place : place + 1], geometry)

        return rows

    def _rows(self, index: int, logits: Tensor, geometry: InputGeometry) -> list[dict[str, Any]]:
        logits = resize_linearly(logits, geometry.seen_size)
        seen = masks_from_logits(logits, geometry.seen_size, self.exclusive)[0]
        probability = probabilities_from_logits(logits, self.exclusive)[0]
        masks = geometry.restore(seen.byte())
        truth = self._truth(self.items[index], geometry)
        files = self.write_masks(index, masks, geometry)
        compared = [{}] * len(masks) if truth is None else _compared(masks, truth)
        rows = []
        for n, structure in enumerate(self.structures):
            inside = seen[n] > 0
            pixels = int(inside.sum())
            row = {"structure": structure, "present": int(pixels > 0), "pixels": pixels, "mask": printable(files[n])}
            row["predicted_share"] = _text(pixels / math.prod(geometry.size))
            if geometry.pixel_size is not None:
                row[self.amount] = _text(pixels * geometry.pixel_size * self.unit)
            if pixels:
                row["probability"] = _text(float(probability[n][inside].mean()))
            rows.append({**row, **compared[n]})
        return rows

    def _truth(self, item: Mapping[str, Any], geometry: InputGeometry) -> Tensor | None:
        if item.get("mask") is None:
            return None
        affine = torch.tensor(geometry.affine, dtype=torch.float64)
        like = MetaTensor(torch.zeros(1).expand(1, *geometry.size), affine=affine)
        return self.load_mask(item["mask"], like, str(item["image"]))


def _compared(masks: Tensor, truth: Tensor) -> list[dict[str, str]]:
    found, true = masks[None].float(), truth[None].float()
    columns = {
        "true_share": true.flatten(2).mean(dim=2)[0].tolist(),
        "dice": compute_dice(found, true)[0].tolist(),
        "iou": compute_iou(found, true)[0].tolist(),
    }
    return [{name: _text(values[n]) for name, values in columns.items()} for n in range(len(masks))]


def _text(value: float) -> str:
    """Empty where it is not defined, as the Dice of what is absent."""
    return "" if value != value else f"{value:.6g}"
