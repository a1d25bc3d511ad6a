# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

from monai_semise.networks import SemiseNet, SeverityClassifier, discriminative_groups
from monai_semise.utils import InputError


def test_every_trainable_parameter_is_in_one_group():
    network = SeverityClassifier(3, "resnet10", freeze=False, hidden_channels=(4,))
    groups = discriminative_groups(network, 0.1, 1.0, 0.5)
    members = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(members) == sorted(id(parameter) for parameter in network.parameters())
    torch.optim.SGD(groups, lr=1.0)  # refuses repeats


def test_stages_are_in_order_from_the_stem_to_the_head():
    network = SeverityClassifier(3, "resnet10", freeze=False, hidden_channels=(4,))
    groups = discriminative_groups(network, 0.1, 1.0, 0.5)
    firsts = [network.encoder.conv1.weight, network.encoder.layer1[0].conv1.weight]
    firsts += [network.encoder.layer4[0].conv1.weight, network.head[0].weight]
    rates = [next(g["lr"] for g in groups if any(p is first for p in g["params"])) for first in firsts]
    assert rates == pytest.approx([0.1 / 16, 0.1 / 8, 0.1, 1.0])


def test_frozen_encoder_leaves_the_head_alone():
    network = SeverityClassifier(3, "resnet10", hidden_channels=(4,))
    assert [group["lr"] for group in discriminative_groups(network, 0.1, 1.0)] == [1.0]


def test_an_encoder_of_blocks():
    network = SemiseNet("efficientnet-b0", embedding_dim=8)
    groups = discriminative_groups(network, 0.1, 1.0, 0.9)
    members = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(members) == sorted(id(p) for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("decay", [0.0, 1.5, -1.0])
def test_bad_decay(decay):
    with pytest.raises(InputError, match="stage_decay"):
        discriminative_groups(SeverityClassifier(3, "resnet10"), 0.1, 1.0, decay)
