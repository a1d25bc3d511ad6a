# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.methods.image_patches import draw_masked, spread_to_pixels
from monai_semise.methods.mae import MaeLoss, MaeNet
from monai_semise.utils import InputError
from tests.losses.reference import assert_agree, random
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start


def slow(patches):
    total, count = 0, 0
    for view in patches:
        for image in view:
            for prediction, pixels in zip(*image):
                mean = pixels.sum() / len(pixels)
                variance = sum((x - mean) ** 2 for x in pixels) / len(pixels)
                wanted = (pixels - mean) / (variance + 1e-6) ** 0.5
                total = total + sum((p - x) ** 2 for p, x in zip(prediction, wanted)) / len(pixels)
                count += 1
    return total / count


def test_learns(tmp_path):
    assert_learns(tmp_path, "mae", epochs=10, patch_size=2)  # smaller than a lesion


def test_equals_the_squared_error_of_normalized_patches():
    assert_agree(lambda p: MaeLoss()(p, {}), slow, random(2, 3, 2, 4, 5, dtype=torch.float32), tolerance=1e-4)


def test_every_weight_gets_a_gradient_and_no_grade_is_read(tmp_path):
    flow = start(tmp_path, "mae", image_size=64, patch_size=32)
    images, _ = first_batch(flow)
    assert len(images) == 1
    assert silent_gradients(part(flow, "network"), loss_of(flow, images, {})) == []


def test_a_token_stands_where_a_feature_map_is_empty():
    """Only there: a token of a scale moves the prediction, unless every cell of the scale holds something."""
    torch.manual_seed(0)
    network = MaeNet("resnet10", image_size=64, patch_size=16).eval()
    image, masked = torch.rand(1, 1, 64, 64), torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    masked[..., :16, :16] = True  # empties a cell at the strides 4, 8 and 16, not at 32
    with torch.inference_mode():
        before = network.reconstruct(image, masked)
        moved = []
        for token in network.decoder.tokens:
            token += 1
            moved.append(not torch.allclose(network.reconstruct(image, masked), before))
            token -= 1
    assert moved == [True, True, True, False]


def test_batch_statistics_leave_hidden_patches_out():
    network = MaeNet("resnet10", image_size=64, patch_size=32, mask_ratio=0.5).train()
    image = torch.rand(5, 1, 64, 64)
    patches = draw_masked(5, (2, 2), 2, image.device)
    encoder = network.encoder
    network.reconstruct(image, spread_to_pixels(patches, 32))
    seen = encoder.conv1(image * ~spread_to_pixels(patches, 32)).movedim(1, -1)[~spread_to_pixels(patches, 16)[:, 0]]
    torch.testing.assert_close(encoder.bn1.running_mean, 0.1 * seen.mean(dim=0))


def test_another_backbone_is_refused():
    with pytest.raises(InputError, match=r"backbone: mae .* 'efficientnet-b0' is none"):
        MaeNet("efficientnet-b0", image_size=64)
