# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from torch.nn import functional as F

from monai_semise.metrics import MEASURES, GradePrediction
from tests.metrics.data import graded_images, integers

every_measure = pytest.mark.parametrize("name", MEASURES)


def value(name, prediction, y, **weight):
    return MEASURES[name].function(getattr(prediction, MEASURES[name].part), y, **weight)


@every_measure
@given(graded_images())
def test_a_weight_counts_each_image_as_often(name, images):
    y, prediction, times = images
    repeated = [part.repeat_interleave(times, dim=0) for part in prediction]
    expected = value(name, GradePrediction(*repeated), y.repeat_interleave(times))
    weighted = value(name, prediction, y, weight=times)
    torch.testing.assert_close(weighted, expected, rtol=1e-9, atol=1e-9, equal_nan=True)
    assert weighted.shape == ()


@every_measure
@given(graded_images())
def test_several_weights_at_once(name, images):
    y, prediction, times = images
    weights = torch.stack([times, torch.ones_like(times), times.flip(0)], dim=1)
    expected = torch.stack([value(name, prediction, y, weight=weight) for weight in weights.unbind(1)])
    torch.testing.assert_close(
        value(name, prediction, y, weight=weights), expected, rtol=1e-9, atol=1e-9, equal_nan=True
    )


@every_measure
def test_the_direction_is_that_of_the_metric(name):
    y = integers(60, 3)
    perfect = GradePrediction(y, F.one_hot(y, 4).double(), y.double())
    shuffled = GradePrediction(*(part.roll(7, 0) for part in perfect))
    best, worse = (value(name, prediction, y).item() for prediction in (perfect, shuffled))
    assert (best > worse) == MEASURES[name].higher_is_better
    assert best != worse


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("score", {"c_index", "kendall_tau", "spearman"}),
        ("probability", {"macro_auc", "ranked_probability_score"}),
    ],
)
def test_scores_and_probabilities_serve_their_metrics_alone(part, names):
    assert {name for name, measure in MEASURES.items() if measure.part == part} == names
    assert set(GradePrediction._fields) == {measure.part for measure in MEASURES.values()}
