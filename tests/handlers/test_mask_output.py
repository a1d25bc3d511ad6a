# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler
from monai.inferers import SlidingWindowInferer
from monai.metrics import DiceMetric

from monai_semise.engines import PrepareMaskBatch
from monai_semise.handlers import MaskOutput


class Brightness(torch.nn.Module):
    """Calls bright what is brighter than 1/2; with two structures, the second is what is darker than 1/4."""

    def __init__(self, exclusive=False):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.exclusive = exclusive

    def forward(self, image):
        structures = torch.cat([image - 0.5, 0.25 - image], dim=1)
        return torch.cat([0 * image, structures], dim=1) if self.exclusive else structures


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("inferer", [None, SlidingWindowInferer(roi_size=(8, 8), overlap=0)])
def test_evaluator_scores_images_of_unlike_sizes(exclusive, inferer):
    """One image is right, one half right, and the second structure of the first is absent."""
    full, half = torch.full((1, 1, 16, 16), 0.9), torch.full((1, 1, 16, 16), 0.1)
    half[..., :8, :] = 0.9
    first, second = torch.zeros(1, 2, 20, 30), torch.zeros(1, 2, 32, 32)
    first[:, 0] = 1
    second[:, 0] = 1  # only half of it is found
    second[:, 1, 16:] = 1
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=[{"image": full, "mask": first}, {"image": half, "mask": second}],
        network=Brightness(exclusive),
        prepare_batch=PrepareMaskBatch(),
        inferer=inferer,
        key_val_metric={
            "dice": IgniteMetricHandler(
                metric_fn=DiceMetric(), output_transform=MaskOutput(exclusive), save_details=False
            )
        },
        decollate=False,
    )
    evaluator.run()
    # interpolation may move the edge between the halves by a pixel
    assert evaluator.state.metrics["dice"] == pytest.approx((1 + (2 / 3 + 1) / 2) / 2, abs=0.02)
