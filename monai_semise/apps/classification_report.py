# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from monai_semise.apps.calibration import CALIBRATED_ON, fit_calibrator, group_of
from monai_semise.apps.evaluation_table import evaluation_summary, evaluation_text, write_evaluation_csv
from monai_semise.apps.neighbours import save_neighbours
from monai_semise.apps.run_settings import write_run_settings
from monai_semise.data.datalist import UNGRADED
from monai_semise.engines import embed_images
from monai_semise.handlers import read_training_log
from monai_semise.metrics import Evaluation, GradePrediction, evaluate_predictions
from monai_semise.networks import SeverityClassifier
from monai_semise.utils import (
    InputError,
    is_main_process,
    load_checkpoint,
    save_checkpoint,
    unwrap,
    write_json,
    write_whole,
)
from monai_semise.visualize import plot_confusion, plot_curves

__all__ = ["ClassificationReport"]

FILES = {
    "model.pt": "the classifier, encoder included: best epoch on validation",
    "calibration.json": "how a severity becomes a place on the grade scale, fitted on validation",
    "settings.json": "what inference needs to know of the run",
    "training_embeddings.pt": "where the training images lie, for the nearest neighbours in a report",
    "predictions.csv": "probabilities, grade and severity of every validation and test image",
    "measures.csv": "every measure with its 95 % interval, beside predictors that never look at an image",
    "summary.json": "the same, for programs",
    "confusion.png": "confusion matrix",
    "curves.png": "loss and validation measures over the epochs",
    "log.csv": "one row an epoch",
    "checkpoints": "what a resumed run needs",
    "tensorboard": "every iteration; open with tensorboard --logdir",
}


class ClassificationReport:
    """What a classification run leaves behind: the best classifier, predictions, measures with intervals, pictures.

    The severity of an image is its expected grade, the sum of k times the probability of grade k.

    Args:
        output_dir: folder of the run, which holds ``log.csv`` and ``checkpoints/``.
        network: the trained classifier; gets the weights of the best epoch.
        best_checkpoint: weights of the best epoch.
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

    def __init__(
        self,
        output_dir: str | os.PathLike,
        network: torch.nn.Module,
        best_checkpoint: str | os.PathLike,
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
        self.folder = Path(output_dir)
        self.network: SeverityClassifier = unwrap(network)
        self.best_checkpoint = best_checkpoint
        self.training = training
        self.training_items = training_items
        self.training_grades = torch.tensor([item["severity"] for item in training_items])
        self.sections = {name: section for name, section in sections.items() if section[1]}
        self.grade_names = grade_names
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.settings = settings or {}
        self.coverage = coverage
        self.n_resamples = n_resamples
        known = set(self.training_grades.tolist())
        for name, (_, items) in self.sections.items():
            for item in items:
                if item["severity"] not in known and item["severity"] != UNGRADED:
                    raise InputError(
                        f"{name}: {item['image']} has severity {item['severity']}, which no training image has "
                        f"({', '.join(map(str, sorted(known)))}); grade training images so, or take this one out"
                    )

    def write(self) -> dict[str, Any]:
        """Write all files and print where they are.

        Returns:
            the content of ``summary.json``; in a distributed run, nothing on ranks other than 0.
        """
        if not is_main_process():
            return {}
        self.network.load_state_dict(load_checkpoint(self.best_checkpoint))
        save_checkpoint(self.folder / "model.pt", self.network.state_dict())
        write_run_settings(self.folder, {**self.settings, "grade_names": list(self.grade_names)})
        loading = {"batch_size": self.batch_size, "num_workers": self.num_workers}
        save_neighbours(
            self.folder / "training_embeddings.pt", self.network, self.training, self.training_items, **loading
        )
        evaluations: dict[str, Evaluation] = {}
        lines: list[tuple] = []
        for name, (dataset, items) in self.sections.items():
            prediction = self._predict(dataset)
            y = torch.tensor([item["severity"] for item in items])
            groups = [group_of(item) for item in items]
            if name == CALIBRATED_ON:
                calibrator = fit_calibrator(prediction.score, items, len(self.grade_names), self.coverage)
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
        write_evaluation_csv(self.folder / "measures.csv", evaluations)
        summary = {name: evaluation_summary(evaluation) for name, evaluation in evaluations.items()}
        write_json(self.folder / "summary.json", summary)
        plot_curves(read_training_log(self.folder / "log.csv"), self.folder / "curves.png")
        self._print(evaluations)
        return summary

    def _predict(self, dataset: Dataset) -> GradePrediction:
        embedded = embed_images(self.network, dataset, batch_size=self.batch_size, num_workers=self.num_workers)
        probability = self.network.probabilities(embedded.embeddings)
        return GradePrediction(
            self.network.grades(probability), probability, self.network.expected_grade(probability.double())
        )

    def _print(self, evaluations: Mapping[str, Evaluation]) -> None:
        lines = ["", f"Done. Everything is in {self.folder.absolute()}"]
        lines += [f"  {name:15} {what}" for name, what in FILES.items() if (self.folder / name).exists()]
        for name, evaluation in evaluations.items():
            lines += ["", *evaluation_text(name, evaluation)]
        logging.getLogger("monai_semise").info("\n".join(lines))


def _rows(section: str, items: Sequence[Mapping[str, Any]], prediction: GradePrediction) -> list[tuple]:
    columns = zip(*(part.tolist() for part in prediction if part is not None))
    return [
        (
            *(section, item["image"], item.get("group", ""), item["severity"], grade, f"{score:.6f}"),
            *(f"{p:.6f}" for p in probabilities),
        )
        for item, (grade, probabilities, score) in zip(items, columns)
    ]
