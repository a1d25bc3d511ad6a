# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.networks.schedulers import DDPMScheduler

from monai_semise.methods.denoising_loss import DenoisingLoss
from monai_semise.methods.diffae import DiffAeNet
from monai_semise.methods.soda import SodaNet
from tests.losses.reference import assert_agree, random

SMALL: dict[str, Any] = {"backbone": "resnet10", "embedding_dim": 12, "denoiser_channels": (8, 8)}
METHODS = pytest.mark.parametrize("method", [DiffAeNet, SodaNet])


def views(n=4):
    return torch.rand(n, 2, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def watch(module):
    """The inputs that a module gets, call by call."""
    seen = []
    module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    return seen


@METHODS
def test_encoder_sees_the_first_view_alone_and_denoiser_the_last_with_noise(method):
    network = method(**SMALL, noise_schedule="linear_beta", prediction_type="epsilon").train()
    encoder, denoiser = watch(network.encoder), watch(network.denoiser)
    pair = views(16)
    noise = network(pair)[:, 1].reshape(16, 1, 32, 32)
    assert torch.equal(encoder[0][0], pair[:, 0])
    noisy, timesteps, _ = denoiser[0]
    assert len(timesteps.unique()) > 8  # a noise level of its own for each image
    kept = torch.cumprod(1 - torch.linspace(0.0001, 0.02, 1000), dim=0)
    for image, e, t, x_t in zip(pair[:, 1], noise, timesteps, noisy):
        torch.testing.assert_close(x_t, kept[t] ** 0.5 * (2 * image - 1) + (1 - kept[t]) ** 0.5 * e)
    assert abs(float(noise.mean())) < 0.05
    assert abs(float(noise.std()) - 1) < 0.05


@METHODS
def test_from_the_velocity_the_image_follows(method):
    network = method(**SMALL, noise_schedule="cosine", prediction_type="v_prediction")
    denoiser = watch(network.denoiser)
    pair = views()
    velocity = network(pair)[:, 1].reshape(4, 1, 32, 32)
    noisy, timesteps, _ = denoiser[0]
    kept = network.scheduler.alphas_cumprod[timesteps].reshape(4, 1, 1, 1)
    torch.testing.assert_close(kept.sqrt() * noisy - (1 - kept).sqrt() * velocity, 2 * pair[:, 1] - 1)


@METHODS
def test_gradient_reaches_the_encoder_through_the_latent_only(method):
    torch.manual_seed(0)
    network = method(**SMALL).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    DenoisingLoss()(network(views())[None], {}).backward()  # MONAI's blocks start as identities, deaf to the latent
    optimizer.step()
    optimizer.zero_grad()
    pair = views()
    DenoisingLoss()(network.denoise(pair[:, 1], network.latents(pair[:, 0]).detach())[None], {}).backward()
    assert all(p.grad is None for p in [*network.encoder.parameters(), *network.latent.parameters()])
    DenoisingLoss()(network(pair)[None], {}).backward()
    assert all(p.grad.any() for p in [*network.encoder.parameters(), *network.latent.parameters()])


@METHODS
def test_the_latents_of_other_images_mislead_a_trained_denoiser(method):
    torch.manual_seed(0)
    network = method(**SMALL, prediction_type="v_prediction").train()
    network.scheduler = DDPMScheduler(prediction_type="v_prediction", beta_start=0.1, beta_end=0.1)  # nearly all noise
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    dark_or_bright = (torch.arange(8) % 2).reshape(8, 1, 1, 1, 1) * torch.ones(8, 2, 1, 32, 32)
    for _ in range(30):
        optimizer.zero_grad()
        DenoisingLoss()(network(dark_or_bright)[None], {}).backward()
        optimizer.step()
    network.eval()
    with torch.inference_mode():
        latents = network.latents(dark_or_bright[:, 0])
        own, others = (
            float(DenoisingLoss()(network.denoise(dark_or_bright[:, 1], given)[None], {}))
            for given in (latents, latents.roll(1, dims=0))
        )
    assert own < 0.5
    assert others > 4 * own


@METHODS
def test_denoises_at_the_target_size_what_the_encoder_sees_in_full(method):
    network = method(**SMALL, target_size=(16, 8)).eval()
    encoder, denoiser = watch(network.encoder), watch(network.denoiser)
    assert network(views()).shape == (4, 2, 16 * 8)
    assert encoder[0][0].shape == (4, 1, 32, 32)
    assert denoiser[0][0].shape == (4, 1, 16, 8)


@METHODS
def test_a_seed_repeats_noise_and_noise_levels(method):
    network = method(**SMALL).train()
    torch.manual_seed(1)
    first = network(views())
    second = network(views())
    torch.manual_seed(1)
    again = network(views())
    assert torch.equal(first[:, 1], again[:, 1])
    assert not torch.equal(first[:, 1], second[:, 1])


@METHODS
def test_volumes(method):
    network = method(**SMALL, spatial_dims=3, in_channels=2).train()
    output = network(torch.rand(2, 2, 2, 32, 32, 16))
    DenoisingLoss()(output[None], {}).backward()
    assert output.shape == (2, 2, 2 * 32 * 32 * 16)
    assert network(torch.rand(2, 2, 32, 32, 16)).shape == (2, 2, network.n_features)


@METHODS
def test_one_view_gives_features_whose_angle_to_healthy_ones_is_the_severity(method):
    network = method(**SMALL).eval()
    with torch.inference_mode():
        image = views()[:, 0]
        features = network.features(image)
        network.set_healthy_reference(features[0])
        score = network.score(image)
        assert torch.equal(network(image), torch.stack([features, features], dim=1))
    torch.testing.assert_close(score, 1 - torch.cosine_similarity(features, features[:1]))


def slow(output):
    images = output[0]
    return sum(((p - t) ** 2).sum() / len(p) for p, t in images) / len(images)


def test_loss_is_the_squared_error():
    assert_agree(lambda output: DenoisingLoss()(output, {}), slow, random(1, 3, 2, 5, dtype=torch.float32))
