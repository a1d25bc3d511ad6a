# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import torch

from monai_semise.apps.compare.thumbnail_forest import ThumbnailForest
from monai_semise.data import graded_items, load_datalist


def test_features_are_pixels_and_a_histogram(phantoms):
    item = load_datalist(phantoms())["training"][0]
    forest = ThumbnailForest(channels=1, progress=False)
    features = forest.features(item)
    assert features.shape == (32 * 32 + 32,)
    assert (features[:1024].min(), features[:1024].max()) == (0, 1)  # 32 px phantoms: each pixel is its own
    assert features[1024:].sum() == np.float32(1)
    counts, _ = np.histogram(features[:1024], bins=32, range=(0, 1))
    assert np.abs(counts / 1024 - features[1024:]).sum() < 0.02


def test_thumbnails_grade_phantoms_better_than_chance(phantoms):
    datalist = graded_items(load_datalist(phantoms()))
    training = [item for item in datalist["training"] if item["severity"] != 3]  # a grade that it never saw
    forest = ThumbnailForest(channels=1, progress=False)
    seen = forest.predict(training, training, n_grades=5, seed=0)
    assert (seen.grade == torch.tensor([item["severity"] for item in training])).double().mean() > 0.9
    new = forest.predict(training, datalist["test"], n_grades=5, seed=0)
    assert new.probability.shape == (len(datalist["test"]), 5)
    assert (new.probability[:, 3] == 0).all()
    assert torch.allclose(new.probability.sum(dim=1), torch.ones(len(new.grade), dtype=torch.float64))
    assert torch.allclose(new.score, new.probability @ torch.arange(5.0, dtype=torch.float64))
