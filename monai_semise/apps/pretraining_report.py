# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from monai_semise.apps.calibration import CALIBRATED_ON, fit_calibrator, group_of
from monai_semise.apps.evaluation_table import evaluation_summary
from monai_semise.apps.neighbours import save_neighbours
from monai_semise.apps.training_report import Findings, TrainingReport
from monai_semise.data import PreferencePair
from monai_semise.data.datalist import UNGRADED, healthy_indices
from monai_semise.engines import embed_images, update_healthy_reference
from monai_semise.metrics import (
    Evaluation,
    GradePrediction,
    evaluate_predictions,
    kendall_tau,
    ordinal_c_index,
    pair_accuracy,
)
from monai_semise.networks import SemiseNet
from monai_semise.severity import CalibratedSeverity, SeverityCalibrator
from monai_semise.utils import (
    save_checkpoint,
    unwrap,
    write_json,
    write_whole,
)
from monai_semise.utils.heads import PREFERENCE
from monai_semise.visualize import plot_embedding

__all__ = ["PretrainingReport"]


class PretrainingReport(TrainingReport):
    """What a pretraining run leaves behind: the best network with its final healthy reference, scores and pictures.

    The healthy reference is the mean over *all* healthy training images.

    Args:
        output_dir: folder of the run, which holds ``log.csv`` and ``checkpoints/``.
        network: the trained network; gets the weights of the best epoch.
        checkpoint: weights to report on, such as those of the best epoch.
        training: training images, not augmented.
        training_items: their datalist items.
        sections: image sets to score and their datalist items, by name.
        batch_size: images at a time.
        num_workers: loader processes.
        grade_names: name of each grade, from 0, for the picture.
        settings: of network and preprocessing, kept in ``settings.json`` for inference.
        coverage: share of images whose grade the conformal interval shall hold.
        n_resamples: of the bootstrap by patient.
        pairs: comparisons made by people, by section; how many of them the scores agree with is reported too.
    """

    files: ClassVar = {
        "model.pt": "network with its healthy reference: best epoch on validation",
        "encoder.pt": "its encoder alone, for FlexibleUNet, MONAI ResNets and the downstream bundles",
        "calibration.json": "how a score becomes a place on the grade scale, fitted on validation",
        "training_embeddings.pt": "where the graded training images lie, for the nearest neighbours in a report",
        "severity.csv": "severity of every validation and test image: score, place on the grade scale, interval",
        "embedding.png": "embedding and scores by grade",
    }

    def __init__(
        self,
        output_dir: str | os.PathLike,
        network: torch.nn.Module,
        checkpoint: str | os.PathLike,
        training: Dataset,
        training_items: Sequence[Mapping[str, Any]],
        sections: Mapping[str, tuple[Dataset, Sequence[Mapping[str, Any]]]],
        batch_size: int = 64,
        num_workers: int = 0,
        grade_names: Sequence[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        coverage: float = 0.9,
        n_resamples: int = 1000,
        pairs: Mapping[str, Sequence[PreferencePair]] | None = None,
    ) -> None:
        settings = {**(settings or {}), "grade_names": grade_names, "network": _kind(unwrap(network))}
        super().__init__(output_dir, network, checkpoint, sections, settings, num_workers, n_resamples)
        self.training = training
        self.training_items = training_items
        self.batch_size = batch_size
        self.grade_names = grade_names
        self.coverage = coverage
        self.pairs = pairs or {}

    def _complete_network(self) -> None:
        if self.network.learns_reference:
            return
        update_healthy_reference(
            self.network, self.training, healthy_indices(self.training_items), self.batch_size, self.num_workers
        )

    def _find(self) -> Findings:
        save_checkpoint(self.folder / "encoder.pt", self.network.encoder.state_dict())
        save_neighbours(
            self.folder / "training_embeddings.pt",
            self.network,
            self.training,
            self.training_items,
            self.batch_size,
            self.num_workers,
        )
        scores = {name: self._score(dataset) for name, (dataset, _) in self.sections.items()}
        calibrator = self._calibrator(scores)
        summary: dict[str, Any] = {}
        evaluations: dict[str, Evaluation] = {}
        rows: list[tuple] = []
        for name, (_, items) in self.sections.items():
            severity = torch.tensor([item["severity"] for item in items])
            summary[name] = _measures(scores[name], severity)
            if self.pairs.get(name):
                a, b, preference, _ = zip(*self.pairs[name])
                agreement = pair_accuracy(scores[name], torch.tensor([a, b]).T, torch.tensor(preference))
                summary[name]["comparison_accuracy"] = _known(agreement)
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
        with write_whole(self.folder / "severity.csv") as stream:
            writer = csv.writer(stream)
            writer.writerow(("section", "image", "severity", "score", "position", "low", "high", "grades"))
            writer.writerows(rows)
        return Findings(summary, evaluations, _lines(summary))

    @torch.no_grad()
    def _score(self, dataset: Dataset) -> Tensor:
        """Severity scores of a section; of the last one (test, where there is one), the embedding is drawn."""
        embedded = embed_images(self.network, dataset, batch_size=self.batch_size, num_workers=self.num_workers)
        name, (last, items) = next(reversed(self.sections.items()))
        if dataset is last:
            plot_embedding(
                embedded.embeddings[:, PREFERENCE],
                embedded.severity,
                self.network.healthy_reference.detach().cpu(),
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


def _kind(network: torch.nn.Module) -> str:
    """The network that inference builds: a subclass of SemiseNet trains in another way, and leaves the same weights."""
    return SemiseNet.__name__ if isinstance(network, SemiseNet) else type(network).__name__


def _lines(summary: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = []
    for name, measures in summary.items():
        numbers = {key: value for key, value in measures.items() if not isinstance(value, dict)}
        told = (f"{key.replace('_', ' ')} {'-' if value is None else f'{value:.3g}'}" for key, value in numbers.items())
        lines.append(f"{name}: {', '.join(told)}")
        if "coverage" in measures:
            chosen, measured = measures["coverage"]["chosen"], measures["coverage"]["measured"]
            lines.append(f"{name}: conformal interval for {chosen:.0%} holds {measured:.1%}")
    return lines


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
            measures[name] = _known(ordinal_c_index(score[compared], severity[compared]))
    graded = severity >= 0
    if len(torch.unique(severity[graded])) > 1:
        measures["kendall_tau"] = _known(kendall_tau(score[graded], severity[graded]))
    return measures


def _known(measure: Tensor) -> float | None:
    """As JSON has it, which knows no nan."""
    value = float(measure)
    return None if math.isnan(value) else value
