# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, ScaleIntensityd
from sklearn.ensemble import RandomForestClassifier
from torch.nn import functional as F
from tqdm import tqdm

from monai_semise.metrics import GradePrediction
from monai_semise.transforms import DicomToPresentationd, LoadCheckedImaged
from monai_semise.utils import plain_tensor

__all__ = ["ThumbnailForest"]

SIDE = 32
BINS = 32
N_TREES = 300


class ThumbnailForest:
    """What tiny thumbnails already tell: a random forest on 32 px pixels and grey-level histograms, as a floor.

    Images are scaled to [0, 1] each by itself, as the networks get them. Features of an image are computed once.

    Args:
        channels: of the images.
        spatial_dims: 2 or 3.
        jobs: processors to grow trees on.
        progress: whether to show a progress bar while images are read.
    """

    def __init__(self, channels: int, spatial_dims: int = 2, jobs: int = 1, progress: bool = True) -> None:
        self.load = Compose(
            [
                LoadCheckedImaged(keys="image", channels=channels, spatial_dims=spatial_dims),
                DicomToPresentationd(keys="image"),
                ScaleIntensityd(keys="image"),
            ]
        )
        self.jobs = jobs
        self.progress = progress
        self.known: dict[str, np.ndarray] = {}

    def features(self, item: Mapping[str, Any]) -> np.ndarray:
        """Pixels of the thumbnail and histogram of the whole image's mean over channels."""
        if item["image"] not in self.known:
            image = plain_tensor(self.load({"image": item["image"]})["image"]).float()
            thumbnail = F.adaptive_avg_pool2d(image, SIDE) if image.ndim == 3 else F.adaptive_avg_pool3d(image, SIDE)
            levels = torch.histc(image.mean(dim=0), BINS, 0, 1) / image[0].numel()
            self.known[item["image"]] = torch.cat([thumbnail.flatten(), levels]).numpy()
        return self.known[item["image"]]

    def predict(
        self, training: Sequence[Mapping[str, Any]], test: Sequence[Mapping[str, Any]], n_grades: int, seed: int
    ) -> GradePrediction:
        """Grade test images after the graded training images.

        Args:
            training: datalist items, all graded.
            test: datalist items.
            n_grades: number of grades K.
            seed: of the forest.

        Returns:
            the most probable grade, probabilities of shape (N, K), and the expected grade as the score.
        """
        forest = RandomForestClassifier(N_TREES, random_state=seed, class_weight="balanced_subsample", n_jobs=self.jobs)
        forest.fit(self._table(training), [item["severity"] for item in training])
        probability = np.zeros((len(test), n_grades))
        probability[:, forest.classes_] = forest.predict_proba(self._table(test))
        grade = probability.argmax(axis=1)
        score = probability @ np.arange(n_grades)
        return GradePrediction(*map(torch.from_numpy, (grade, probability, score)))

    def _table(self, items: Sequence[Mapping[str, Any]]) -> np.ndarray:
        new = sum(item["image"] not in self.known for item in items)
        shown = tqdm(items, desc="Thumbnails", unit="image", disable=not new or not self.progress, leave=False)
        return np.stack([self.features(item) for item in shown])
