# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.metrics import compute_dice, compute_iou

from monai_semise.metrics import mask_metrics


def of_masks(masks, truth):
    dice, iou = (compute(masks, truth)[:, 0] for compute in (compute_dice, compute_iou))
    metrics = mask_metrics(dice, iou, masks.flatten(1).mean(dim=1))
    return {name: metric(torch.ones(len(masks))) for name, metric in metrics.items()}


def test_overlap_is_of_images_that_show_it_and_absence_of_the_others():
    random = torch.Generator().manual_seed(0)
    masks, truth = torch.rand(2, 7, 1, 8, 8, generator=random).round()
    truth[4:] = 0
    masks[5] = 0
    found = of_masks(masks, truth)
    alone = of_masks(masks[:4], truth[:4])
    assert set(alone) == {"dice", "iou"}
    assert {name: found[name] for name in alone} == alone
    assert 0 < alone["iou"] < alone["dice"] < 1
    assert found["absent_correct"] == pytest.approx(1 / 3)


def test_overlap_is_not_defined_where_no_image_shows_it():
    found = of_masks(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))
    assert found["dice"].isnan()
    assert found["iou"].isnan()
    assert found["absent_correct"] == 1
