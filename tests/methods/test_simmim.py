# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch

from monai_semise.methods.simmim import SimmimLoss, SimmimNet
from tests.losses.reference import assert_agree, random
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start


def slow(patches):
    total = 0
    for view in patches:
        for prediction, pixels in view:
            total = total + sum(abs(p - x) for p, x in zip(prediction.flatten(), pixels.flatten())) / pixels.numel()
    return total / (patches.shape[0] * patches.shape[1])


def test_learns(tmp_path):
    assert_learns(tmp_path, "simmim", epochs=14, patch_size=2, batch_size=12)  # smaller than a lesion


def test_equals_the_mean_absolute_error():
    assert_agree(lambda p: SimmimLoss()(p, {}), slow, random(2, 3, 2, 4, 5, dtype=torch.float32))


def test_every_weight_gets_a_gradient_and_no_grade_is_read(tmp_path):
    flow = start(tmp_path, "simmim")
    images, _ = first_batch(flow)
    assert len(images) == 1
    assert silent_gradients(part(flow, "network"), loss_of(flow, images, {})) == []


def test_the_token_stands_for_each_hidden_pixel():
    network = SimmimNet("resnet10", in_channels=2, image_size=32).eval()
    image, masked = torch.rand(1, 2, 32, 32), torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    masked[..., :8, 8:16] = True
    with torch.inference_mode():
        network.mask_token.copy_(torch.tensor([0.25, 0.75]).view(2, 1, 1))
        predicted = network.reconstruct(image, masked)
        image[:, 0, :8, 8:16], image[:, 1, :8, 8:16] = 0.25, 0.75
        torch.testing.assert_close(predicted, network.reconstruct(image, torch.zeros_like(masked)))
