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
from torch import Tensor
from torch.utils.data import Dataset

from monai_semise.apps.calibration import CALIBRATED_ON, fit_calibrator, group_of
from monai_semise.apps.evaluation_table import evaluation_summary, evaluation_text, write_evaluation_csv
from monai_semise.apps.neighbours import save_neighbours
from monai_semise.apps.run_settings import write_run_settings
from monai_semise.data.datalist import UNGRADED, healthy_indices
from monai_semise.engines import embed_images, update_healthy_reference
from monai_semise.handlers import read_training_log
from monai_semise.metrics import Evaluation, GradePrediction, evaluate_predictions, kendall_tau, ordinal_c_index
from monai_semise.networks import SemiseNet
from monai_semise.severity import CalibratedSeverity, SeverityCalibrator
from monai_semise.utils import (
    is_main_process,
    load_checkpoint,
    save_checkpoint,
    unwrap,
    write_json,
    write_whole,
)
from monai_semise.utils.heads import PREFERENCE
from monai_semise.visualize import plot_curves, plot_embedding

__all__ = ["PretrainingReport"]

FILES = {
    "model.pt": "network with its healthy reference: best epoch on validation",
    "encoder.pt": "its encoder alone, for FlexibleUNet, MONAI ResNets and the downstream bundles",
    "severity.csv": "severity of every validation and test image: score, place on the grade scale, interval",
    "calibration.json": "how a score becomes a place on the grade scale, fitted on validation",
    "settings.json": "what inference needs to know of the run",
    "training_embeddings.pt": "where the graded training images lie, for the nearest neighbours in a report",
    "measures.csv": "every measure with its 95 % interval, beside predictors that never look at an image",
    "summary.json": "measures of the best epoch on validation and test",
    "curves.png": "loss terms and validation measures over the epochs",
    "embedding.png": "embedding and scores by grade",
    "log.csv": "one row an epoch",
    "checkpoints": "what a resumed run needs",
    "tensorboard": "every iteration; open with tensorboard --logdir",
}


class PretrainingReport:
    """What a pretraining run leaves behind: the best network with its final healthy reference, scores and pictures.

    The healthy reference is the mean over *all* healthy training images.

    Args:
        output_dir: folder of the run, which holds ``log.csv`` and ``checkpoints/``.
        network: the trained network; gets the weights of the best epoch.
        best_checkpoint: weights of the best epoch.
        training: training images, not augmented.
        training_items: their datalist items.
        sections: image sets to score and their datalist items, by name.
        batch_size: images at a time.
        num_workers: loader processes.
        grade_names: name of each grade, from 0, for the picture.
        settings: of network and preprocessing, kept in ``settings.json`` for inference.
        coverage: share of images whose grade the conformal interval shall hold.
        n_resamples: of the bootstrap by patient.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        network: torch.nn.Module,
        best_checkpoint: str | os.PathLike,
        training: Dataset,
        training_items: Sequence[Mapping[str, Any]],
        sections: Mapping[str, tuple[Dataset, Sequence[Mapping[str, Any]]]],
        batch_size: int = 64,
        num_workers: int = 0,
        grade_names: Sequence[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        coverage: float = 0.9,
        n_resamples: int = 1000,
    ) -> None:
        self.folder = Path(output_dir)
        self.network: SemiseNet = unwrap(network)
        self.best_checkpoint = best_checkpoint
        self.training = training
        self.training_items = training_items
        self.sections = {name: section for name, section in sections.items() if section[1]}
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.grade_names = grade_names
        self.settings = settings or {}
        self.coverage = coverage
        self.n_resamples = n_resamples
        self.logger = logging.getLogger("monai_semise")

    def write(self) -> dict[str, Any]:
        """Write all files and print where they are.

        Returns:
            the content of ``summary.json``; in a distributed run, nothing on ranks other than 0.
        """
        if not is_main_process():
            return {}
        self.network.load_state_dict(load_checkpoint(self.best_checkpoint))
        update_healthy_reference(
            self.network, self.training, healthy_indices(self.training_items), self.batch_size, self.num_workers
        )
        save_checkpoint(self.folder / "model.pt", self.network.state_dict())
        save_checkpoint(self.folder / "encoder.pt", self.network.encoder.state_dict())
        save_neighbours(
            self.folder / "training_embeddings.pt",
            self.network,
            self.training,
            self.training_items,
            self.batch_size,
            self.num_workers,
        )
        write_run_settings(self.folder, {**self.settings, "grade_names": self.grade_names})
        scores = {name: self._score(dataset) for name, (dataset, _) in self.sections.items()}
        calibrator = self._calibrator(scores)
        summary: dict[str, Any] = {}
        evaluations: dict[str, Evaluation] = {}
        rows: list[tuple] = []
        for name, (_, items) in self.sections.items():
            severity = torch.tensor([item["severity"] for item in items])
            summary[name] = _measures(scores[name], severity)
            calibrated = None if calibrator is None else calibrator.calibrate(scores[name].numpy())
            rows += _rows(name, items, scores[name], calibrated)
            if calibrated is None or name == CALIBRATED_ON or not (severity >= 0).any():
                continue  # on what it was fitted on, a calibration looks better than it is
            evaluations[name] = self._evaluate(items, scores[name], calibrated)
            summary[name]["evaluation"] = evaluation_summary(evaluations[name])
            covered = calibrated.covers(severity.numpy())[(severity >= 0).numpy()]
            summary[name]["coverage"] = {"chosen": self.coverage, "measured": float(covered.mean())}
        if calibrator is not None:
            write_json(self.folder / "calibration.json", calibrator.to_dict())
            write_evaluation_csv(self.folder / "measures.csv", evaluations)
        with write_whole(self.folder / "severity.csv") as stream:
            writer = csv.writer(stream)
            writer.writerow(("section", "image", "severity", "score", "position", "low", "high", "grades"))
            writer.writerows(rows)
        write_json(self.folder / "summary.json", summary)
        plot_curves(read_training_log(self.folder / "log.csv"), self.folder / "curves.png")
        self._print(summary, evaluations)
        return summary

    def _score(self, dataset: Dataset) -> Tensor:
        """Severity scores of a section; of the last one (test, where there is one), the embedding is drawn."""
        embedded = embed_images(self.network, dataset, batch_size=self.batch_size, num_workers=self.num_workers)
        name, (last, items) = next(reversed(self.sections.items()))
        if dataset is last:
            plot_embedding(
                embedded.embeddings[:, PREFERENCE],
                embedded.severity,
                self.network.healthy_reference.cpu(),
                self.folder / "embedding.png",
                self.grade_names,
                title=f"{len(items)} {name} images",
            )
        return self.network.severity(embedded.embeddings.to(self.network.healthy_reference.device)).cpu()

    def _calibrator(self, scores: Mapping[str, Tensor]) -> SeverityCalibrator | None:
        items = self.sections[CALIBRATED_ON][1] if CALIBRATED_ON in self.sections else []
        n_grades = 1 + max(item["severity"] for item in (*self.training_items, *items))
        return fit_calibrator(scores.get(CALIBRATED_ON, torch.empty(0)), items, n_grades, self.coverage)

    def _evaluate(
        self, items: Sequence[Mapping[str, Any]], score: Tensor, calibrated: CalibratedSeverity
    ) -> Evaluation:
        graded = [n for n, item in enumerate(items) if item["severity"] != UNGRADED]
        return evaluate_predictions(
            torch.tensor([items[n]["severity"] for n in graded]),
            {"distance from healthy": GradePrediction(torch.from_numpy(calibrated.grade)[graded], score=score[graded])},
            torch.tensor([item["severity"] for item in self.training_items]),
            [group_of(items[n]) for n in graded],
            n_resamples=self.n_resamples,
        )

    def _print(self, summary: Mapping[str, Mapping[str, Any]], evaluations: Mapping[str, Evaluation]) -> None:
        lines = ["", f"Done. Everything is in {self.folder.absolute()}"]
        lines += [f"  {name:16} {what}" for name, what in FILES.items() if (self.folder / name).exists()]
        for name, measures in summary.items():
            numbers = {key: value for key, value in measures.items() if not isinstance(value, dict)}
            lines.append(f"{name}: " + ", ".join(f"{k.replace('_', ' ')} {v:.3g}" for k, v in numbers.items()))
            if "coverage" in measures:
                lines.append(
                    "{}: conformal interval for {chosen:.0%} holds {measured:.1%}".format(name, **measures["coverage"])
                )
        for name, evaluation in evaluations.items():
            lines += ["", *evaluation_text(name, evaluation)]
        self.logger.info("\n".join(lines))


def _rows(
    section: str, items: Sequence[Mapping[str, Any]], score: Tensor, calibrated: CalibratedSeverity | None
) -> list[tuple]:
    grades = ["" if item["severity"] == UNGRADED else item["severity"] for item in items]
    rows = [(section, item["image"], g, f"{s:.6f}") for item, g, s in zip(items, grades, score.tolist())]
    if calibrated is None:
        return [(*row, "", "", "", "") for row in rows]
    ends = zip(calibrated.position, calibrated.low, calibrated.high)
    sets = (" ".join(map(str, inside)) for inside in calibrated.grade_sets())
    return [(*row, *(f"{end:.3f}" for end in numbers), inside) for row, numbers, inside in zip(rows, ends, sets)]


def _measures(score: Tensor, severity: Tensor) -> dict[str, Any]:
    """Measures of scores against grades, over all pairs of unlike grade."""
    measures: dict[str, Any] = {"images": len(score)}
    for name, lowest in (("pair_accuracy", 1), ("pair_accuracy_with_healthy", 0)):
        compared = severity >= lowest
        if len(torch.unique(severity[compared])) > 1:
            measures[name] = float(ordinal_c_index(score[compared], severity[compared]))
            measures["kendall_tau"] = float(kendall_tau(score[severity >= 0], severity[severity >= 0]))
    return measures
