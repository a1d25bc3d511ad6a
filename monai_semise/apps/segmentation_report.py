# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from monai.data import DataLoader
from monai.inferers import Inferer, SimpleInferer
from monai.metrics import compute_dice, compute_iou
from torch import Tensor
from torch.utils.data import Dataset

from monai_semise.apps.calibration import group_of
from monai_semise.apps.evaluation_table import evaluation_summary
from monai_semise.apps.training_report import Findings, TrainingReport
from monai_semise.engines import masks_from_logits
from monai_semise.metrics import (
    Evaluation,
    best_constant_mask,
    bootstrap_intervals,
    few_groups_warnings,
    known_mean,
    mask_metrics,
)
from monai_semise.utils import (
    plain_tensor,
    write_whole,
)
from monai_semise.visualize import Overlay, plot_overlays

__all__ = ["SegmentationReport"]

MODEL, CONSTANT = "model", "constant-mask"
N_OVERLAYS = 6
MOST_TRAINING_MASKS = 500
"""The constant mask is made of so many at most."""


class _Scores(NamedTuple):
    """Of one predictor, for N images and S structures, shape (N, S)."""

    dice: Tensor
    """nan where the image does not show the structure."""
    iou: Tensor
    """Likewise."""
    share: Tensor
    """Of the image that the predicted mask covers, in [0, 1]."""


class SegmentationReport(TrainingReport):
    """What a segmentation run leaves behind: the best UNet, Dice and IoU of each image, means with intervals, pictures.

    Images are scored in their original size. Dice and IoU are those of images that show the structure (MONAI's
    ``ignore_empty=True``); for the others there is ``absent_correct``, the share of them in which none is predicted.

    Args:
        output_dir: folder of the run, which holds ``log.csv`` and ``checkpoints/``.
        network: the trained network; gets the weights of the best epoch.
        checkpoint: weights to report on, such as those of the best epoch.
        training: training images, not augmented, with a ``mask`` of one size.
        sections: image sets to score and their datalist items, by name. Dictionaries with an ``image`` as the network
            takes it and a ``mask`` in the original size.
        structures: names of what the masks outline.
        exclusive: see :func:`monai_semise.engines.masks_from_logits`.
        settings: of network and preprocessing, kept in ``settings.json`` for inference.
        inferer: how to apply the network, such as MONAI's ``SlidingWindowInferer``; None applies it to whole images.
        num_workers: loader processes.
        n_resamples: of the bootstrap by patient.
    """

    files: ClassVar = {
        "model.pt": "the UNet, encoder included: best epoch on validation",
        "segmentation.csv": "Dice and IoU of every validation and test image, structure by structure",
        "overlays.png": "true and predicted outlines, from the worst image to the best",
    }
    shown: ClassVar = None

    def __init__(
        self,
        output_dir: str | os.PathLike,
        network: torch.nn.Module,
        checkpoint: str | os.PathLike,
        training: Dataset,
        sections: Mapping[str, tuple[Dataset, Sequence[Mapping[str, Any]]]],
        structures: Sequence[str],
        exclusive: bool = False,
        settings: Mapping[str, Any] | None = None,
        inferer: Inferer | None = None,
        num_workers: int = 0,
        n_resamples: int = 1000,
    ) -> None:
        super().__init__(output_dir, network, checkpoint, sections, settings, num_workers, n_resamples)
        self.training: Any = training
        self.structures = list(structures)
        self.exclusive = exclusive
        self.inferer = SimpleInferer() if inferer is None else inferer

    def _find(self) -> Findings:
        constant = self._constant_logits()
        evaluations: dict[str, Evaluation] = {}
        rows: list[tuple] = []
        for name, (dataset, items) in self.sections.items():
            scores, truth = self._score(dataset, constant)
            groups = [group_of(item) for item in items]
            evaluations[name] = self._evaluate(scores, groups)
            rows += self._rows(name, items, scores[MODEL], truth)
            self._draw(name, dataset, scores[MODEL])  # test is last, where there is one
        with write_whole(self.folder / "segmentation.csv") as stream:
            writer = csv.writer(stream)
            writer.writerow(("section", "image", "group", "structure", "dice", "iou", "true_share", "predicted_share"))
            writer.writerows(rows)
        summary = {name: evaluation_summary(evaluation) for name, evaluation in evaluations.items()}
        return Findings(summary, evaluations)

    def _constant_logits(self) -> Tensor:
        step = -(-len(self.training) // MOST_TRAINING_MASKS)
        chosen = range(0, len(self.training), step)
        mask = best_constant_mask([plain_tensor(self.training[n]["mask"]) for n in chosen])
        if self.exclusive:
            mask = torch.cat([0.5 * torch.ones_like(mask[:1]), mask])
        return (2 * mask - 1)[None]

    @torch.no_grad()
    def _predict(self, image: Tensor, size: Sequence[int]) -> Tensor:
        device = next(self.network.parameters()).device
        logits = self.inferer(plain_tensor(image).to(device), self.network)
        return masks_from_logits(logits, size, self.exclusive).cpu()

    def _score(self, dataset: Dataset, constant: Tensor) -> tuple[dict[str, _Scores], Tensor]:
        """Scores of each predictor, and the share of the image that each true mask covers, shape (N, S)."""
        collected: dict[str, list[_Scores]] = {MODEL: [], CONSTANT: []}
        shares = []
        for batch in DataLoader(dataset, batch_size=1, num_workers=self.num_workers):  # sizes differ
            truth = plain_tensor(batch["mask"]).float()
            size = truth.shape[2:]
            shares.append(_share(truth))
            for name, masks in (
                (MODEL, self._predict(batch["image"], size)),
                (CONSTANT, masks_from_logits(constant, size, self.exclusive)),
            ):
                collected[name].append(_Scores(compute_dice(masks, truth), compute_iou(masks, truth), _share(masks)))
        return {name: _Scores(*map(torch.cat, zip(*parts))) for name, parts in collected.items()}, torch.cat(shares)

    def _evaluate(self, scores: Mapping[str, _Scores], groups: Sequence[Any]) -> Evaluation:
        rows = {}
        for predictor, parts in scores.items():
            metrics = {
                f"{structure}_{name}": metric
                for structure, *of_structure in zip(self.structures, *(part.T for part in parts))
                for name, metric in mask_metrics(*of_structure).items()
            }
            rows[predictor] = bootstrap_intervals(metrics, groups, self.n_resamples)
        gain = scores[MODEL].dice - scores[CONSTANT].dice
        differences = bootstrap_intervals(
            {structure: partial(known_mean, values) for structure, values in zip(self.structures, gain.T)},
            groups,
            self.n_resamples,
        )
        warnings = [
            f"{MODEL}: the Dice of {structure} is not shown to lie above that of one mask for all images "
            f"({rows[CONSTANT][f'{structure}_dice'].value:.3f})"
            for structure, difference in differences.items()
            if not difference.low > 0
        ]
        n_groups = len(set(groups))
        return Evaluation(rows, warnings + few_groups_warnings(n_groups), len(groups), n_groups)

    def _rows(self, section: str, items: Sequence[Mapping[str, Any]], scores: _Scores, truth: Tensor) -> list[tuple]:
        return [
            (section, item["image"], item.get("group", ""), structure, *map(_text, values))
            for n, item in enumerate(items)
            for structure, *values in zip(
                self.structures, *(part[n].tolist() for part in (scores.dice, scores.iou, truth, scores.share))
            )
        ]

    def _draw(self, section: str, dataset: Any, scores: _Scores) -> None:
        # what is rightly left empty counts as perfect
        merit = scores.dice.where(~scores.dice.isnan(), (scores.share == 0).float()).mean(dim=1)
        order = merit.argsort(stable=True).tolist()
        chosen = [order[round(n)] for n in torch.linspace(0, len(order) - 1, min(N_OVERLAYS, len(order))).tolist()]
        overlays = []
        for n in chosen:
            item = dataset[n]
            image, truth = plain_tensor(item["image"])[None], plain_tensor(item["mask"]).float()
            predicted = self._predict(image, truth.shape[1:])[0]
            caption = map(_caption, self.structures, scores.dice[n].tolist(), scores.share[n].tolist())
            overlays.append(Overlay(image[0].clamp(0, 1), truth, predicted, ", ".join(caption)))
        title = f"{len(overlays)} of {len(order)} {section} images, from the worst to the best"
        plot_overlays(overlays, self.structures, self.folder / "overlays.png", title)


def _share(masks: Tensor) -> Tensor:
    """Of the image that each mask covers, shape (N, S)."""
    return masks.flatten(2).mean(dim=2)


def _caption(structure: str, dice: float, share: float) -> str:
    if dice == dice:
        return f"{structure}: Dice {dice:.2f}"
    return f"no {structure}, {'but predicted' if share else 'none predicted'}"


def _text(value: float) -> str:
    return "" if value != value else f"{value:.6f}"
