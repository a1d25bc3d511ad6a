# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import pytest
import torch

from monai_semise.methods.soda import SodaNet
from monai_semise.utils import InputError
from tests.methods.denoising import assert_frozen_features_beat_random_ones, assert_loss_falls, silent_after_a_step
from tests.methods.harness import first_batch, start


def soda(**settings: Any) -> SodaNet:
    """A small network: 4 sections of 3 dimensions."""
    small: dict[str, Any] = {"backbone": "resnet10", "embedding_dim": 12, "denoiser_channels": (8, 8, 8)}
    return SodaNet(**small | settings)


def test_loss_falls(tmp_path):
    assert_loss_falls(tmp_path, "soda")


def test_frozen_features_beat_random_ones(tmp_path):
    assert_frozen_features_beat_random_ones(tmp_path, "soda", epochs=15, head_lr=0.05, denoiser_channels=[8, 8, 8])


def test_every_weight_gets_a_gradient_and_no_grade_is_read(tmp_path):
    flow = start(tmp_path, "soda", denoiser_channels=[8, 8, 8])
    images, _ = first_batch(flow)
    assert len(images) == 2
    assert not torch.equal(*images)
    assert silent_after_a_step(flow) == []


def test_sections_are_parts_of_the_latent():
    network = soda().eval()
    image = torch.rand(3, 1, 32, 32)
    latent = network.latent(network.features(image))
    torch.testing.assert_close(network.latents(image), torch.stack(latent.split(3, dim=1), dim=1))


def masked(latent_dropout, section_dropout):
    """Which sections of 400 images are masked in training, shape (400, 4)."""
    torch.manual_seed(0)
    network = soda(latent_dropout=latent_dropout, section_dropout=section_dropout)
    network.features = lambda image: image.flatten(1)  # the encoder tells nothing of the masks
    network.latent = torch.nn.Linear(1, 12)
    network.train()
    return (network.latents(torch.rand(400, 1, 1, 1)) == 0).all(dim=2)


def test_latents_are_masked_whole_and_section_by_section():
    whole = masked(latent_dropout=0.3, section_dropout=0)
    assert torch.equal(whole.any(dim=1), whole.all(dim=1))
    assert abs(float(whole.float().mean()) - 0.3) < 0.06
    single = masked(latent_dropout=0, section_dropout=0.3)
    assert abs(float(single.float().mean()) - 0.3) < 0.06
    assert 0.6 < float(single.any(dim=1).float().mean()) < 0.9  # 1 - 0.7 ** 4 = 0.76: sections differ
    assert not masked(latent_dropout=0, section_dropout=0).any()


def test_a_latent_that_sections_cannot_divide_is_refused():
    with pytest.raises(InputError, match=r"embedding_dim: 10 .* 4 sections .* 3 levels; give a multiple of 4"):
        soda(embedding_dim=10)


@pytest.mark.parametrize("name", ["latent_dropout", "section_dropout"])
def test_shares_that_are_none_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must lie in .* got 1"):
        soda(**{name: 1})
