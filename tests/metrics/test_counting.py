# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.metrics import DiceMetric, MeanIoU

from monai_semise.metrics import image_mean, known_mean
from tests.metrics.data import integers


@pytest.mark.parametrize("metric", [DiceMetric, MeanIoU])
def test_is_the_mean_that_monai_reports_of_dice_and_iou_per_image(metric):
    masks, truth = integers(5 * 64, 1).reshape(5, 1, 8, 8), integers(5 * 64, 1, seed=1).reshape(5, 1, 8, 8)
    of_images = metric(reduction="mean")(masks, truth).flatten()
    reported = metric(reduction="mean")
    for batch in (slice(0, 2), slice(2, 5)):
        reported(masks[batch], truth[batch])
    assert len(of_images) == 5
    assert image_mean(of_images).item() == pytest.approx(reported.aggregate().item(), abs=1e-6)


def test_nan_is_let_through():
    assert image_mean(torch.tensor([0.5, torch.nan])).isnan()


def test_known_mean_leaves_images_without_a_value_out_of_every_resample():
    values, weight = torch.tensor([0.2, torch.nan, 0.8]), torch.tensor([[1, 3], [5, 7], [1, 1]])
    torch.testing.assert_close(known_mean(values, weight), torch.tensor([0.5, 0.35]).double())
    assert known_mean(values[1:2], weight[1:2]).isnan().all()
