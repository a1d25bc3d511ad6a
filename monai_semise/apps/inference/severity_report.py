# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from monai_semise.apps.calibration import group_of
from monai_semise.apps.evaluation_table import evaluation_rows
from monai_semise.apps.inference.pages import embedded, write_page
from monai_semise.apps.inference.worklist import Worklist
from monai_semise.apps.neighbours import Neighbours
from monai_semise.apps.print_files import print_files
from monai_semise.data.datalist import UNGRADED
from monai_semise.metrics import Evaluation, GradePrediction, evaluate_predictions
from monai_semise.utils import InputError, plain_tensor, printable, unwrap, write_whole
from monai_semise.visualize import distribution_png, overlay_png, reliability_png, severity_heat_maps

__all__ = ["SeverityReport"]

FILES = {
    "severity.csv": "severity of every image, in the order of the input",
    "worklist.csv": "the same, the most severe first",
    "unreadable.csv": "what could not be read, and why",
    "heat_maps": "where the most severe images look severe",
    "report.html": "all of it for reading, in one file that needs no network",
}


class SeverityReport:
    """What a person gets of a severity inference: a worklist, heat maps and a page to read.

    The page holds the distribution of the severities, the most severe images with their heat maps and the nearest
    graded training images, what could not be read, and, where true grades are known, measures with intervals, the
    confusion matrix and how well the calibration holds. It is one file without scripts, and loads nothing.

    Args:
        output_dir: folder with the ``severity.csv`` and ``unreadable.csv`` of
            :class:`monai_semise.handlers.SeverityWriterHandler`.
        network: has ``score(image)`` and ``embedding(image)``.
        dataset: the prepared images.
        items: their datalist items.
        training_embeddings: file of the training run; None leaves the nearest training images out.
        grade_names: name of each grade, from 0; None where grades are not known.
        preprocessing: reads a training image for its small picture beside a neighbour.
        n_shown: images on the page.
        coverage: that the intervals were made for, to compare with the measured one.
        n_resamples: of the bootstrap by patient.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        network: nn.Module,
        dataset: Dataset,
        items: Sequence[Mapping[str, Any]],
        training_embeddings: str | os.PathLike | None,
        grade_names: Sequence[str] | None,
        preprocessing: Any,
        n_shown: int = 20,
        coverage: float | None = None,
        n_resamples: int = 1000,
    ) -> None:
        self.folder = Path(output_dir)
        self.network: Any = unwrap(network)
        self.dataset = dataset
        self.items = items
        self.neighbours = None if training_embeddings is None else Neighbours(training_embeddings)
        self.grade_names = grade_names
        self.preprocessing = preprocessing
        self.n_shown = n_shown
        self.coverage = coverage
        self.n_resamples = n_resamples
        self.logger = logging.getLogger("monai_semise")

    def write(self) -> None:
        """Write all files and print where they are."""
        worklist = Worklist(self.folder / "severity.csv")
        worklist.write(self.folder / "worklist.csv")
        graded, warnings = self._on_the_scale(worklist.graded())
        evaluation = self._evaluate(graded) if len(graded) else None
        n_unreadable = write_page(
            self.folder,
            "severity.html",
            n_images=len(worklist),
            shown=self._most_severe(worklist.head(self.n_shown)),
            distribution=embedded(distribution_png(worklist.positions, worklist.position)),
            evaluation=None if evaluation is None else evaluation_rows(evaluation),
            warnings=[*warnings, *([] if evaluation is None else evaluation.warnings)],
            n_graded=len(graded),
            reliability=embedded(self._reliability(graded)) if len(graded) else None,
            coverage=self._coverage(graded),
            grade_names=self.grade_names or [],
        )
        print_files(self.folder, FILES, [f"{len(worklist)} image(s) scored, {n_unreadable} could not be read"])

    def _on_the_scale(self, graded: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """Images whose true grade the model knows, and what is to be said of the others."""
        if not self.grade_names:
            return graded, []
        known = graded["severity"].astype(int) < len(self.grade_names)
        n_beyond = int((~known).sum())
        told = f"{n_beyond} image(s) have a grade beyond the model's {len(self.grade_names)}, and are not measured here"
        return graded[known], [told] if n_beyond else []

    def _most_severe(self, rows: pd.DataFrame) -> list[dict[str, Any]]:
        item_of = self._items_of(rows["image"])
        shown: list[dict[str, Any]] = []
        for row in rows.to_dict("records"):
            image = plain_tensor(self.dataset[item_of[row["image"]]["index"]]["image"])
            heat = self._heat(image)
            name = f"{row['rank']:03d}.png"
            if heat is not None:
                with write_whole(self.folder / "heat_maps" / name, "wb") as stream:
                    stream.write(overlay_png(image, heat))
            pictures = [overlay_png(image)] + ([] if heat is None else [overlay_png(image, heat)])
            shown.append(
                {
                    **{str(column): cell for column, cell in row.items()},
                    "name": Path(row["image"]).name,
                    "pictures": [embedded(picture) for picture in pictures],
                    "neighbours": self._neighbours(image),
                }
            )
        return shown

    def _heat(self, image: Tensor) -> Tensor | None:
        try:
            return severity_heat_maps(self.network, image[None].to(self._device()))[0].cpu()
        except InputError as error:
            self.logger.warning(f"No heat maps: {error}")
            return None

    def _neighbours(self, image: Tensor) -> list[dict[str, Any]]:
        if self.neighbours is None:
            return []
        self.network.eval()
        with torch.inference_mode():
            embedding = self.network.embedding(image[None].to(self._device()))
        found = []
        for neighbour in self.neighbours.nearest(embedding)[0]:
            picture = None
            if os.path.exists(neighbour.image):  # the training images may lie elsewhere by now
                picture = embedded(overlay_png(plain_tensor(self._training_image(neighbour.image)), size=96))
            found.append({**neighbour._asdict(), "name": Path(neighbour.image).name, "picture": picture})
        return found

    def _training_image(self, path: str) -> Tensor:
        return self.preprocessing({"image": path, "severity": UNGRADED, "index": 0})["image"]

    def _evaluate(self, graded: pd.DataFrame) -> Evaluation:
        item_of = self._items_of(graded["image"])
        columns = [name for name in graded.columns if name.startswith("probability_")]
        probability = torch.tensor(graded[columns].astype(float).to_numpy()) if columns else None
        y = torch.tensor(graded["severity"].astype(int).to_numpy())
        training = y if self.neighbours is None else torch.tensor(self.neighbours.severity)
        return evaluate_predictions(
            y,
            {
                "model": GradePrediction(
                    torch.tensor(graded["grade"].astype(int).to_numpy()),
                    probability,
                    torch.tensor(graded["score"].to_numpy()),
                )
            },
            training,
            [group_of(item_of[image]) for image in graded["image"]],
            n_resamples=self.n_resamples,
        )

    def _reliability(self, graded: pd.DataFrame) -> bytes:
        position = graded["position"].where(graded["position"] != "", graded["grade"]).astype(float)
        truth, grade = (graded[name].astype(int).to_numpy() for name in ("severity", "grade"))
        names = self.grade_names or [str(n) for n in range(1 + max(truth.max(), grade.max()))]
        return reliability_png(position.to_numpy(), grade, truth, names)

    def _coverage(self, graded: pd.DataFrame) -> dict[str, float] | None:
        if self.coverage is None or not len(graded) or not (graded["grades"] != "").all():
            return None
        covered = [truth in inside.split() for truth, inside in zip(graded["severity"], graded["grades"])]
        return {"chosen": self.coverage, "measured": sum(covered) / len(covered)}

    def _items_of(self, images: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Items of some images, by their name in the tables."""
        wanted = set(images)
        names = ((printable(item["image"]), item) for item in self.items)
        return {name: item for name, item in names if name in wanted}

    def _device(self) -> torch.device:
        return next(self.network.parameters()).device
