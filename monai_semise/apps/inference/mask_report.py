# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn
from torch.utils.data import Dataset

from monai_semise.apps.calibration import group_of
from monai_semise.apps.evaluation_table import evaluation_rows
from monai_semise.apps.inference.pages import embedded, write_page
from monai_semise.apps.print_files import print_files
from monai_semise.engines import InputGeometry, masks_from_logits, probabilities_from_logits, resize_linearly
from monai_semise.metrics import Evaluation, bootstrap_intervals, few_groups_warnings, mask_metrics
from monai_semise.utils import printable, unwrap, write_whole
from monai_semise.visualize import OUTLINES, amounts_png, overlay_png

__all__ = ["MaskReport"]

FILES = {
    "masks": "a file for each image and structure, in the geometry of the image",
    "segmentation.csv": "what each mask measures, in the order of the input",
    "unreadable.csv": "what could not be read, and why",
    "heat_maps": "how probable the structures are, with their outlines, where there is most of them",
    "report.html": "all of it for reading, in one file that needs no network",
}
MEASURES = ("dice", "iou", "absent_correct")
UNITS = {"area_mm2": ("area in mm²", "mm²"), "volume_ml": ("volume in mL", "mL")}
PICTURE = 384
"""Pixels of the longer side of a picture."""


class MaskReport:
    """What a person gets of a segmentation inference: heat maps and a page to read.

    The page holds how much of each structure the images show, those that show most with the heat maps of the
    segmentation and the outlines of the masks, what could not be read, and, where true masks are known, Dice and IoU
    with intervals. It is one file without scripts, and loads nothing.

    Args:
        output_dir: folder with the ``segmentation.csv`` and ``unreadable.csv`` of
            :class:`monai_semise.handlers.MaskWriterHandler`.
        network: the UNet.
        dataset: the prepared images, each with its ``geometry``.
        items: their datalist items.
        structures: names of what the network outlines.
        exclusive: see :func:`monai_semise.engines.masks_from_logits`.
        inferer: how the network is applied; None applies it to whole images.
        n_shown: images on the page.
        n_resamples: of the bootstrap by patient.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        network: nn.Module,
        dataset: Dataset,
        items: Sequence[Mapping[str, Any]],
        structures: Sequence[str],
        exclusive: bool = False,
        inferer: Inferer | None = None,
        n_shown: int = 20,
        n_resamples: int = 1000,
    ) -> None:
        self.folder = Path(output_dir)
        self.network: Any = unwrap(network)
        self.dataset = dataset
        self.items = {printable(item["image"]): item for item in items}
        self.structures = list(structures)
        self.exclusive = exclusive
        self.inferer = SimpleInferer() if inferer is None else inferer
        self.n_shown = n_shown
        self.n_resamples = n_resamples

    def write(self) -> None:
        """Write all files and print where they are."""
        table = pd.read_csv(self.folder / "segmentation.csv", dtype=str, keep_default_na=False)
        images = table["image"].to_numpy()[:: len(self.structures)]
        measured = next(column for column in UNITS if column in table)
        column = measured if len(table) and (table[measured] != "").all() else "predicted_share"
        amounts = self._numbers(table, column) * (100 if column == "predicted_share" else 1)
        unit, symbol = UNITS.get(column, ("share of the image in %", "% of the image"))
        annotated = ~np.isnan(self._numbers(table, "true_share")[:, 0])
        evaluation = self._evaluate(table, images, annotated) if annotated.any() else None
        most = np.argsort(-amounts.sum(axis=1), kind="stable")[: self.n_shown]
        n_unreadable = write_page(
            self.folder,
            "masks.html",
            n_images=len(images),
            distribution=embedded(amounts_png(dict(zip(self.structures, amounts.T)), unit)),
            evaluation=None if evaluation is None else evaluation_rows(evaluation, MEASURES),
            warnings=[] if evaluation is None else evaluation.warnings,
            n_annotated=int(annotated.sum()),
            shown=[self._show(k, table, n, amounts[n], symbol) for k, n in enumerate(most, 1) if amounts[n].any()],
            n_structures=len(self.structures),
            volumes=measured == "volume_ml",
        )
        last = f"{len(images)} image(s) segmented, {n_unreadable} could not be read"
        print_files(self.folder, FILES, [last])

    def _numbers(self, table: pd.DataFrame, column: str) -> np.ndarray:
        """Shape (images, structures), nan for what is not known."""
        values = table[column].replace("", "nan").astype(float)
        return values.to_numpy().reshape(-1, len(self.structures))

    def _evaluate(self, table: pd.DataFrame, images: np.ndarray, annotated: np.ndarray) -> Evaluation:
        dice, iou, share = (
            torch.from_numpy(self._numbers(table, column)[annotated]) for column in ("dice", "iou", "predicted_share")
        )
        groups = [group_of(self.items[image]) for image in images[annotated]]
        rows = {
            structure: bootstrap_intervals(mask_metrics(*of_structure), groups, self.n_resamples)
            for structure, *of_structure in zip(self.structures, dice.T, iou.T, share.T)
        }
        n_groups = len(set(groups))
        return Evaluation(rows, few_groups_warnings(n_groups), len(groups), n_groups)

    def _show(self, rank: int, table: pd.DataFrame, n: int, amounts: np.ndarray, symbol: str) -> dict[str, Any]:
        first = n * len(self.structures)
        rows = table.iloc[first : first + len(self.structures)].to_dict("records")
        image, heat, masks = self._predict(self.items[rows[0]["image"]]["index"])
        overlay = overlay_png(image, heat, size=PICTURE, masks=masks)
        with write_whole(self.folder / "heat_maps" / f"{rank:03d}.png", "wb") as stream:
            stream.write(overlay)
        structures = [
            {
                "name": row["structure"],
                "color": OUTLINES[k % len(OUTLINES)],
                "amount": f"{amount:.3g} {symbol}" if amount else "",
                "probability": row["probability"] and f"{float(row['probability']):.2f}",
                "dice": row["dice"] and f"{float(row['dice']):.2f}",
                "absent": row["true_share"] != "" and row["dice"] == "",
                "mask": row["mask"],
            }
            for k, (row, amount) in enumerate(zip(rows, amounts))
        ]
        return {
            "number": rank,
            "name": Path(rows[0]["image"]).name,
            "patient": rows[0]["patient"],
            "structures": structures,
            "pictures": [embedded(overlay_png(image, size=PICTURE)), embedded(overlay)],
        }

    @torch.inference_mode()
    def _predict(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Image, probability of any structure and masks of an item, all in the size of a picture of what was seen."""
        item: Any = self.dataset[index]
        self.network.eval()
        image = item["image"][None]
        logits = self.inferer(image.to(next(self.network.parameters()).device), self.network).cpu()
        sides = InputGeometry.from_text(item["geometry"]).seen_size
        scale = PICTURE / max(sides[:2])
        size = [*(max(1, round(scale * side)) for side in sides[:2]), *sides[2:]]
        logits = resize_linearly(logits, size)
        heat = probabilities_from_logits(logits, self.exclusive)[0].amax(dim=0)
        return resize_linearly(image, size)[0], heat, masks_from_logits(logits, size, self.exclusive)[0]
