# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.methods.image_patches import draw_masked, split_patches, spread_to_pixels
from monai_semise.methods.mae import MaeNet
from monai_semise.methods.masked_image_net import PIXELS, PREDICTION
from monai_semise.methods.simmim import SimmimNet
from monai_semise.networks import build_encoder
from monai_semise.utils import InputError

NETWORKS = pytest.mark.parametrize("network_type", [MaeNet, SimmimNet])


def training_output(network, image, seed=0):
    torch.manual_seed(seed)
    return network.train()(image)


def hidden(image, patch_size, n_masked, seed=0):
    """The patches that :func:`training_output` hides, as a grid."""
    torch.manual_seed(seed)
    return draw_masked(len(image), [n // patch_size for n in image.shape[2:]], n_masked, image.device)


@NETWORKS
@pytest.mark.parametrize(("size", "patch_size"), [(64, 32), (64, 8), (48, 12)])
def test_gives_prediction_and_pixels_of_the_hidden_patches_alone(network_type, size, patch_size):
    image = torch.rand(3, 2, size, size)
    network = network_type("resnet10", in_channels=2, image_size=size, patch_size=patch_size, mask_ratio=0.5)
    n_masked = (size // patch_size) ** 2 // 2
    output = training_output(network, image)
    assert output.shape == (3, 2, n_masked, 2 * patch_size**2)
    masked = hidden(image, patch_size, n_masked)
    predicted = network.reconstruct(image, spread_to_pixels(masked, patch_size))
    assert predicted.shape == image.shape
    for n in range(3):
        of_image = masked[n].flatten()
        assert torch.equal(output[n, PIXELS], split_patches(image, patch_size)[n, of_image])
        assert torch.equal(output[n, PREDICTION], split_patches(predicted, patch_size)[n, of_image])


@NETWORKS
def test_no_prediction_looks_at_a_hidden_pixel(network_type):
    image = torch.rand(3, 1, 64, 64)
    network = network_type("resnet10", image_size=64, patch_size=16, mask_ratio=0.5)
    masked = spread_to_pixels(hidden(image, 16, 8), 16)
    before = training_output(network, image)
    under = training_output(network, torch.where(masked, 1 - image, image))
    assert torch.equal(before[:, PREDICTION], under[:, PREDICTION])
    assert not torch.isclose(before[:, PIXELS], under[:, PIXELS]).all()
    beside = training_output(network, torch.where(masked, image, 1 - image))
    assert not torch.isclose(before[:, PREDICTION], beside[:, PREDICTION]).all()
    assert torch.equal(before[:, PIXELS], beside[:, PIXELS])


@NETWORKS
def test_masks_are_drawn_anew_and_repeat_with_the_seed(network_type):
    image = torch.rand(2, 1, 32, 32)
    network = network_type("resnet10", image_size=32)
    outputs = [training_output(network, image, seed) for seed in (0, 0, 1)]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0][:, PIXELS], outputs[2][:, PIXELS])


@NETWORKS
def test_in_evaluation_nothing_is_hidden_and_the_score_is_the_cosine_distance_of_features(network_type):
    network = network_type("resnet10", image_size=32).eval()
    image = torch.rand(3, 1, 40, 32)  # of any size
    with torch.inference_mode():
        heads = network(image)
        features = network.encoder(image)[-1].mean(dim=(2, 3))
        network.set_healthy_reference(heads[0, 0])
        score = network.score(image)
    torch.testing.assert_close(heads, torch.stack([features, features], dim=1))
    torch.testing.assert_close(score, 1 - torch.cosine_similarity(features, features[:1]))


@NETWORKS
def test_running_statistics_are_those_of_whole_images(network_type):
    image = torch.rand(4, 1, 32, 32)
    network = network_type("resnet10", image_size=32)
    plain = build_encoder("resnet10", 2)[0].train()
    plain.load_state_dict(network.encoder.state_dict())
    for n in range(2):
        training_output(network, image + n)
        plain(image + n)
    expected = dict(plain.named_buffers())
    for name, buffer in network.encoder.named_buffers():
        if "running" in name:
            torch.testing.assert_close(buffer, expected[name])


@NETWORKS
def test_encoder_keeps_its_keys_and_volumes_train(network_type):
    network = network_type("resnet10", spatial_dims=3, image_size=[32, 32, 16], patch_size=8)
    assert list(network.encoder.state_dict()) == list(build_encoder("resnet10", 3)[0].state_dict())
    output = training_output(network, torch.rand(2, 1, 32, 32, 16))
    assert output.shape == (2, 2, 19, 512)  # 0.6 of 4 * 4 * 2 patches
    output[:, PREDICTION].square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in network.encoder.parameters())


@NETWORKS
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 60, "patch_size": 16}, r"patch_size: patches of 16 pixels do not tile .*\[60, 60\]"),
        ({"image_size": 211}, r"image_size: no patch .* tiles \[211, 211\]"),
        ({"image_size": 64, "mask_ratio": 0.01}, r"mask_ratio: 0.01 hides 0 of 16 patches"),
        ({"image_size": 32, "patch_size": 32}, r"mask_ratio: 0.6 hides 1 of 1 patches of 32 pixels"),
    ],
)
def test_what_cannot_be_masked_is_refused_at_the_start(network_type, settings, message):
    with pytest.raises(InputError, match=message):
        network_type("resnet10", **settings)
