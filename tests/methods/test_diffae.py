# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch

from monai_semise.methods.diffae import DiffAeNet
from tests.methods.denoising import assert_frozen_features_beat_random_ones, assert_loss_falls, silent_after_a_step
from tests.methods.harness import first_batch, start


def test_loss_falls(tmp_path):
    assert_loss_falls(tmp_path, "diffae")


def test_frozen_features_beat_random_ones(tmp_path):
    assert_frozen_features_beat_random_ones(tmp_path, "diffae", epochs=10, denoiser_channels=[8, 8])


def test_every_weight_gets_a_gradient_and_no_grade_is_read(tmp_path):
    flow = start(tmp_path, "diffae", denoiser_channels=[8, 8])
    assert len(first_batch(flow)[0]) == 1
    assert silent_after_a_step(flow) == []


def test_the_whole_latent_modulates_each_block():
    network = DiffAeNet("resnet10", embedding_dim=12, denoiser_channels=(8, 8)).train()
    image = torch.rand(3, 1, 32, 32)
    latents = network.latents(image)
    expected = network.latent(network.features(image))
    assert latents.shape == (3, 3, 12)
    for section in latents.unbind(dim=1):
        torch.testing.assert_close(section, expected)
