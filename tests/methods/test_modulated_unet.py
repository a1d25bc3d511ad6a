# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_semise.methods.modulated_unet import ModulatedBlock, ModulatedUNet
from monai_semise.utils import InputError
from tests.losses.reference import random


def test_block_scales_and_shifts_normalized_features_by_time_then_by_latent():
    torch.manual_seed(0)
    block = ModulatedBlock(2, in_channels=8, out_channels=16, time_channels=5, latent_channels=3).double()
    nn.init.normal_(next(block.conv2.parameters()))  # MONAI starts it at zero
    x, time, latent = random(2, 8, 6, 6), random(2, 5), random(2, 3)

    def silu(value):
        return value / (1 + torch.exp(-value))

    def group_norm(value):
        groups = value.reshape(2, 8, -1)
        variance = groups.var(dim=2, unbiased=False, keepdim=True)
        return ((groups - groups.mean(dim=2, keepdim=True)) / (variance + 1e-6).sqrt()).reshape(value.shape)

    h = group_norm(block.conv1(silu(group_norm(x))))
    time_scale, time_shift = block.time_emb_proj(silu(time)).reshape(2, 2, 16, 1, 1).unbind(1)
    latent_scale, latent_shift = block.latent_proj(latent).reshape(2, 2, 16, 1, 1).unbind(1)
    h = (1 + latent_scale) * ((1 + time_scale) * h + time_shift) + latent_shift
    expected = block.skip_connection(x) + block.conv2(silu(h))
    torch.testing.assert_close(block(x, time, latent), expected)


@pytest.mark.parametrize("size", [(17, 6), (8, 8), (5, 9, 4)])
def test_images_of_any_size_keep_it(size):
    network = ModulatedUNet(len(size), in_channels=3, channels=(8, 16, 8), latent_channels=2)
    noisy = torch.randn(2, 3, *size)
    assert network(noisy, torch.tensor([0, 999]), torch.randn(2, 4, 2)).shape == noisy.shape


def test_a_section_modulates_both_blocks_of_its_level_and_the_last_the_block_below():
    network = ModulatedUNet(2, in_channels=1, channels=(8, 16), latent_channels=1)
    seen = {}
    for name, block in network.named_modules():
        if isinstance(block, ModulatedBlock):
            block.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: int(inputs[2])}))
    network(torch.randn(1, 1, 8, 8), torch.tensor([3]), torch.tensor([[[0.0], [1.0], [2.0]]]))
    assert seen == {"down.0": 0, "down.1": 1, "middle": 2, "up.1": 1, "up.0": 0}


@pytest.mark.parametrize("channels", [(), (8, 12), (0, 8)])
def test_channels_that_groups_cannot_divide_are_refused(channels):
    with pytest.raises(InputError, match=r"denoiser_channels.*multiples of 8"):
        ModulatedUNet(2, 1, channels, 4)
