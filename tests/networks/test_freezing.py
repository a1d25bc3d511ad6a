# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import copy

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer

from monai_semise.engines import PrepareGradedBatch
from monai_semise.networks import SeverityClassifier


def classifier(freeze):
    torch.manual_seed(0)
    network = SeverityClassifier(3, "resnet10", freeze=freeze, hidden_channels=(8,))
    return network


def train_an_epoch(network):
    """With MONAI's trainer, which calls ``network.train()`` at every iteration."""
    items = [{"image": torch.rand(1, 32, 32), "severity": n % 3} for n in range(12)]
    SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=DataLoader(Dataset(items), batch_size=4),
        network=network,
        optimizer=torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1),
        loss_function=torch.nn.CrossEntropyLoss(),
        prepare_batch=PrepareGradedBatch(),
        decollate=False,
    ).run()


def changed(before, after):
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def test_a_frozen_encoder_is_the_same_to_the_bit_after_an_epoch():
    network = classifier(freeze=True)
    before = copy.deepcopy(network.state_dict())
    train_an_epoch(network)
    assert network.training
    assert {name.split(".")[0] for name in changed(before, network.state_dict())} == {"head"}


def test_an_encoder_that_is_not_frozen_changes():
    network = classifier(freeze=False)
    before = copy.deepcopy(network.state_dict())
    train_an_epoch(network)
    names = changed(before, network.state_dict())
    assert {"encoder.bn1.running_mean", "encoder.conv1.weight"} <= names


@pytest.mark.parametrize("mode", [True, False])
def test_mode_of_the_other_parts(mode):
    network = classifier(freeze=True).train(mode)
    assert network.training == mode
    assert all(module.training == mode for module in network.head.modules())
    assert not any(module.training for module in network.encoder.modules())
