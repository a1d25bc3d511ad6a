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

from monai_semise.data.datalist import UNGRADED, healthy_indices
from monai_semise.engines import embed_images, update_healthy_reference
from monai_semise.handlers import read_training_log
from monai_semise.losses import comparable_pairs
from monai_semise.metrics import kendall_tau, pair_accuracy
from monai_semise.networks import SemiseNet
from monai_semise.utils import is_main_process, load_checkpoint, save_checkpoint, unwrap, write_json, write_whole
from monai_semise.utils.heads import PREFERENCE
from monai_semise.visualize import plot_curves, plot_embedding

__all__ = ["PretrainingReport"]

FILES = {
    "model.pt": "network with its healthy reference: best epoch on validation",
    "encoder.pt": "its encoder alone, for FlexibleUNet, MONAI ResNets and the downstream bundles",
    "severity.csv": "severity score of every validation and test image",
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
        summary: dict[str, Any] = {}
        rows: list[tuple[str, str, int | str, float]] = []
        drawn = next(reversed(self.sections), None)  # test where there is one, else validation
        for name, (dataset, items) in self.sections.items():
            embedded = embed_images(self.network, dataset, batch_size=self.batch_size, num_workers=self.num_workers)
            score = self._score(embedded.embeddings)
            summary[name] = _measures(score, embedded.severity)
            for item, value in zip(items, score.tolist()):
                grade = item["severity"]
                rows.append((name, item["image"], "" if grade == UNGRADED else grade, round(value, 6)))
            if name == drawn:
                plot_embedding(
                    embedded.embeddings[:, PREFERENCE],
                    embedded.severity,
                    self.network.healthy_reference.cpu(),
                    self.folder / "embedding.png",
                    self.grade_names,
                    title=f"{len(items)} {name} images",
                )
        with write_whole(self.folder / "severity.csv") as stream:
            writer = csv.writer(stream)
            writer.writerow(("section", "image", "severity", "score"))
            writer.writerows(rows)
        write_json(self.folder / "summary.json", summary)
        plot_curves(read_training_log(self.folder / "log.csv"), self.folder / "curves.png")
        self._print(summary)
        return summary

    def _score(self, embeddings: Tensor) -> Tensor:
        device = self.network.healthy_reference.device
        return self.network.severity(embeddings.to(device)).cpu()

    def _print(self, summary: Mapping[str, Mapping[str, float]]) -> None:
        lines = ["", f"Done. Everything is in {self.folder.absolute()}"]
        lines += [f"  {name:14} {what}" for name, what in FILES.items() if (self.folder / name).exists()]
        for name, measures in summary.items():
            lines.append(f"{name}: " + ", ".join(f"{k.replace('_', ' ')} {v:.3g}" for k, v in measures.items()))
        logging.getLogger("monai_semise").info("\n".join(lines))


def _measures(score: Tensor, severity: Tensor) -> dict[str, float | int]:
    """Measures of scores against grades, over all pairs of unlike grade."""
    measures: dict[str, float | int] = {"images": len(score)}
    for name, include_healthy in (("pair_accuracy", False), ("pair_accuracy_with_healthy", True)):
        a, b, preference = comparable_pairs(severity, include_healthy=include_healthy)
        if len(a):
            measures[name] = float(pair_accuracy(score, torch.stack([a, b], dim=1), preference))
    graded = severity >= 0
    if len(torch.unique(severity[graded])) > 1:
        measures["kendall_tau"] = float(kendall_tau(score[graded], severity[graded]))
    return measures
