# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch.utils.data import Dataset

from monai_semise.apps.calibration import CALIBRATED_ON, fit_calibrator, group_of
from monai_semise.apps.evaluation_table import evaluation_summary
from monai_semise.apps.neighbours import save_neighbours
from monai_semise.apps.training_report import Findings, TrainingReport
from monai_semise.data.datalist import UNGRADED
from monai_semise.engines import embed_images
from monai_semise.metrics import Evaluation, GradePrediction, evaluate_predictions
from monai_semise.utils import (
    InputError,
    write_json,
    write_whole,
)
from monai_semise.visualize import plot_confusion

__all__ = ["ClassificationReport"]


class ClassificationReport(TrainingReport):
    """What a classification run leaves behind: the best classifier, predictions, measures with intervals, pictures.

    The severity of an image is its expected grade, the sum of k times the probability of grade k.

    Args:
        output_dir: folder of the run, which holds ``log.csv`` and ``checkpoints/``.
        network: the trained classifier; gets the weights of the best epoch.
        checkpoint: weights to report on, such as those of the best epoch.
        training: images that were trained on, or their features, not augmented.
        training_items: their datalist items.
        sections: image sets to grade (dictionaries with ``image``, ``severity`` and ``index``) and their datalist
            items, by name, all graded.
        grade_names: name of each grade, from 0.
        batch_size: images at a time.
        num_workers: loader processes.
        settings: of network and preprocessing, kept in ``settings.json`` for inference.
        coverage: share of images whose grade the conformal interval shall hold.
        n_resamples: of the bootstrap by patient.

    Raises:
        InputError: when an image to grade has a severity that training never saw.
    """

    files: ClassVar = {
        "model.pt": "the classifier, encoder included: best epoch on validation",
        "calibration.json": "how a severity becomes a place on the grade scale, fitted on validation",
        "training_embeddings.pt": "where the training images lie, for the nearest neighbours in a report",
        "predictions.csv": "probabilities, grade and severity of every validation and test image",
        "confusion.png": "confusion matrix",
    }

    def __init__(
        self,
        output_dir: str | os.PathLike,
        network: torch.nn.Module,
        checkpoint: str | os.PathLike,
        training: Dataset,
        training_items: Sequence[Mapping[str, Any]],
        sections: Mapping[str, tuple[Dataset, Sequence[Mapping[str, Any]]]],
        grade_names: Sequence[str],
        batch_size: int = 64,
        num_workers: int = 0,
        settings: Mapping[str, Any] | None = None,
        coverage: float = 0.9,
        n_resamples: int = 1000,
    ) -> None:
        super().__init__(
            output_dir,
            network,
            checkpoint,
            sections,
            {**(settings or {}), "grade_names": list(grade_names)},
            num_workers,
            n_resamples,
        )
        self.training = training
        self.training_items = training_items
        self.training_grades = torch.tensor([item["severity"] for item in training_items])
        self.grade_names = grade_names
        self.batch_size = batch_size
        self.coverage = coverage
        known = set(self.training_grades.tolist())
        for name, (_, items) in self.sections.items():
            for item in items:
                if item["severity"] not in known and item["severity"] != UNGRADED:
                    raise InputError(
                        f"{name}: {item['image']} has severity {item['severity']}, which no training image has "
                        f"({', '.join(map(str, sorted(known)))}); grade training images so, or take this one out"
                    )

    def _find(self) -> Findings:
        loading = {"batch_size": self.batch_size, "num_workers": self.num_workers}
        save_neighbours(
            self.folder / "training_embeddings.pt", self.network, self.training, self.training_items, **loading
        )
        evaluations: dict[str, Evaluation] = {}
        lines: list[tuple] = []
        for name, (dataset, items) in self.sections.items():
            prediction = self._predict(dataset)
            score: Any = prediction.score
            y = torch.tensor([item["severity"] for item in items])
            groups = [group_of(item) for item in items]
            if name == CALIBRATED_ON:
                calibrator = fit_calibrator(score, items, len(self.grade_names), self.coverage)
                if calibrator is not None:
                    write_json(self.folder / "calibration.json", calibrator.to_dict())
            evaluations[name] = evaluate_predictions(
                y, {"model": prediction}, self.training_grades, groups, n_resamples=self.n_resamples
            )
            lines += _rows(name, items, prediction)
            title = f"{len(items)} {name} images"  # test is last, where there is one
            plot_confusion(prediction.grade, y, self.folder / "confusion.png", self.grade_names, title)
        with write_whole(self.folder / "predictions.csv") as stream:
            writer = csv.writer(stream)
            probabilities = [f"probability_{grade}" for grade in range(len(self.grade_names))]
            writer.writerow(("section", "image", "group", "severity", "grade", "score", *probabilities))
            writer.writerows(lines)
        summary = {name: evaluation_summary(evaluation) for name, evaluation in evaluations.items()}
        return Findings(summary, evaluations)

    def _predict(self, dataset: Dataset) -> GradePrediction:
        embedded = embed_images(self.network, dataset, batch_size=self.batch_size, num_workers=self.num_workers)
        probability = self.network.probabilities(embedded.embeddings)
        return GradePrediction(
            self.network.grades(probability), probability, self.network.expected_grade(probability.double())
        )


def _rows(section: str, items: Sequence[Mapping[str, Any]], prediction: GradePrediction) -> list[tuple]:
    columns = zip(*(part.tolist() for part in prediction if part is not None))
    return [
        (
            *(section, item["image"], item.get("group", ""), item["severity"], grade, f"{score:.6f}"),
            *(f"{p:.6f}" for p in probabilities),
        )
        for item, (grade, probabilities, score) in zip(items, columns)
    ]
