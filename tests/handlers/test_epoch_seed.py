# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import random

import numpy as np
import torch
from ignite.engine import Engine
from monai.engines import SupervisedTrainer
from torch.utils.data import DataLoader

from monai_semise.data import GradeBalancedBatchSampler
from monai_semise.handlers import EpochSeedHandler


def draws_of(seed, stream=0, epochs=2):
    """What a two-iteration engine draws from each generator, epoch by epoch."""
    drawn: list[tuple[float, float, float]] = []
    engine = Engine(lambda engine, batch: drawn.append((random.random(), np.random.rand(), torch.rand(()).item())))
    EpochSeedHandler(seed, stream).attach(engine)
    engine.run([0, 1], max_epochs=epochs)
    return drawn


def test_epochs_differ_and_repeat_under_a_seed():
    drawn = draws_of(seed=3)
    assert len(set(drawn)) == 4
    assert drawn == draws_of(seed=3)


def test_seeds_and_streams_differ():
    assert not set(draws_of(seed=3)) & set(draws_of(seed=4))
    assert not set(draws_of(seed=3)) & set(draws_of(seed=3, stream=1))


def test_epoch_is_a_function_of_its_number_alone():
    whole = draws_of(seed=3, epochs=3)
    drawn: list[tuple[float, float, float]] = []
    engine = Engine(lambda engine, batch: drawn.append((random.random(), np.random.rand(), torch.rand(()).item())))
    EpochSeedHandler(3).attach(engine)
    engine.load_state_dict({"epoch": 2, "epoch_length": 2, "max_epochs": 3})
    engine.run([0, 1], max_epochs=3)
    assert drawn == whole[4:]


def test_targets_are_told_the_epoch():
    sampler = GradeBalancedBatchSampler([0, 0, 1, 1, 2, 2], batch_size=3)
    seen = []
    engine = Engine(lambda engine, batch: seen.append(sampler.epoch))
    EpochSeedHandler(0, targets=[sampler, object()]).attach(engine)
    engine.run([0], max_epochs=3)
    assert seen == [1, 2, 3]


def test_monai_still_does_not_tell_a_batch_sampler_the_epoch():
    """When this fails, MONAI's engines call ``set_epoch`` of a batch sampler themselves."""
    sampler = GradeBalancedBatchSampler([0, 0, 1, 1], batch_size=2)
    data = [{"image": torch.zeros(1), "label": torch.zeros(1)}] * 4
    network = torch.nn.Linear(1, 1)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=2,
        train_data_loader=DataLoader(data, batch_sampler=sampler),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=torch.nn.MSELoss(),
    )
    trainer.run()
    assert sampler.epoch == 0
