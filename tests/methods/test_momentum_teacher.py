# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Events
from torch import nn

from monai_semise.methods.moco import MocoNet
from monai_semise.methods.momentum_teacher import MomentumTeacher
from monai_semise.methods.predictor_net import PredictorNet
from tests.methods.harness import first_batch, loss_of, part, start, train


def images(n=6, seed=0):
    return torch.rand(n, 1, 32, 32, generator=torch.Generator().manual_seed(seed))


def linear(value):
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def walk(teacher, students):
    """Weight of the teacher after it has followed each student."""
    path = []
    for value in students:
        teacher.follow(linear(value))
        path.append(float(teacher.network.weight.detach()))
    return path


def test_first_step_copies_and_each_later_one_moves_by_m():
    path = walk(MomentumTeacher(linear(9.0), momentum=0.9), [1.0, 2.0, 3.0])
    assert path == pytest.approx([1.0, 0.9 * 1 + 0.1 * 2, 0.9 * 1.1 + 0.1 * 3])


def test_ramp_up_is_the_mean_of_the_students_until_m_is_slower():
    path = walk(MomentumTeacher(linear(9.0), momentum=0.75, ramp_up=True), [1.0, 3.0, 8.0, 4.0, 0.0])
    assert path == pytest.approx([1.0, 2.0, 4.0, 4.0, 3.0])


def test_momentum_rises_to_one_along_half_a_cosine():
    teacher = MomentumTeacher(linear(0.0), momentum=0.9, n_steps=100)
    assert [teacher.momentum_at(step) for step in (50, 100, 999)] == pytest.approx([0.95, 1, 1])
    assert teacher.momentum_at(25) == pytest.approx(1 - 0.1 * (math.cos(math.pi / 4) + 1) / 2)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_unusable_momentum_is_named(momentum):
    with pytest.raises(ValueError, match="momentum must lie in"):
        MomentumTeacher(linear(0.0), momentum)


def test_a_network_moves_its_teacher_in_training_only():
    network = PredictorNet("resnet10", embedding_dim=8)
    with torch.no_grad():
        network(images())
    network.eval()(images())
    assert int(network.teacher.step) == 0
    network.train()(images())
    assert int(network.teacher.step) == 1


def test_weights_of_the_student_from_elsewhere_become_the_teachers():
    network = PredictorNet("resnet10", embedding_dim=8)
    with torch.no_grad():
        network.encoder.conv1.weight.fill_(0.125)
    network.encoder.bn1.running_mean.fill_(3.0)
    network.teacher.follow(network)
    assert (network.teacher.network.encoder.conv1.weight == 0.125).all()
    assert (network.teacher.network.encoder.bn1.running_mean == 3).all()


def test_teacher_normalizes_with_its_batch_and_keeps_statistics_of_its_own():
    network = PredictorNet("resnet10", embedding_dim=8)
    network(images())
    teacher = network.teacher
    assert teacher.network.encoder.bn1.training
    alone, among_others = teacher(images()[:3]), teacher(images())[:3]
    assert not torch.allclose(alone, among_others, atol=1e-3)
    before = teacher.network.encoder.bn1.running_mean.clone()
    teacher(images(seed=1))
    assert not torch.equal(before, teacher.network.encoder.bn1.running_mean)


def test_without_batch_statistics_an_output_depends_on_its_image_alone():
    network = MocoNet("resnet10", embedding_dim=8)
    for seed in range(2):
        network.train()  # as MONAI's trainer does at each iteration
        network(images(seed=seed))
    teacher = network.teacher
    assert not any(module.training for module in teacher.modules())
    norm = teacher.network.encoder.bn1
    before, together = norm.running_mean.clone(), teacher(images())
    assert not torch.equal(before, norm.running_mean)
    norms = {name: value.clone() for name, value in teacher.state_dict().items()}
    parts = []
    for image in images().split(2):
        teacher.load_state_dict(norms)
        parts.append(teacher(image))
    teacher.load_state_dict(norms)
    torch.testing.assert_close(teacher(images()), torch.cat(parts))
    assert together.var(dim=0).max() > 0


def test_running_statistics_start_with_those_of_the_first_batch():
    network = MocoNet("resnet10", embedding_dim=8)
    with torch.no_grad():
        seen = network.encoder.conv1(images()[3:])
    network(images())
    norm = network.teacher.network.encoder.bn1
    # adopted whole, and then tracked once with the same batch
    torch.testing.assert_close(norm.running_mean, seen.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, seen.transpose(0, 1).flatten(1).var(dim=1), rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1


def test_statistics_go_on_moving_after_conversion_to_synchronized_ones():
    network = nn.SyncBatchNorm.convert_sync_batchnorm(MocoNet("resnet10", embedding_dim=8))
    assert isinstance(network.teacher.network.encoder.bn1, nn.SyncBatchNorm)
    means = []
    for seed in range(3):
        # in evaluation mode, in which the teacher stays, a synchronized one computes without other processes
        network.teacher.follow(network)
        if seed:
            network.teacher(images(seed=seed))
        else:
            network.teacher.step += 1  # no adoption of the first batch, which would need processes
        means.append(network.teacher.network.encoder.bn1.running_mean.clone())
    assert not torch.equal(means[1], means[0])
    assert not torch.equal(means[2], means[1])


def test_optimizer_and_weight_decay_leave_the_teacher_alone(tmp_path):
    flow = start(tmp_path, "byol", weight_decay=0.5, encoder_lr=0.5, head_lr=0.5)
    network, optimizer = part(flow, "network"), part(flow, "train::optimizer")
    loss = loss_of(flow, *first_batch(flow))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    loss.backward()
    optimizer.step()
    moved = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if not name.startswith("teacher.")}


@pytest.mark.parametrize("name", ["moco", "dino"])
def test_an_interrupted_run_ends_as_a_whole_one(tmp_path, name):
    settings = {"train__trainer__max_epochs": 2, "val_interval": 4}
    flow = start(tmp_path, name, **settings)
    train(flow)
    whole = {key: value.clone() for key, value in part(flow, "network").state_dict().items()}
    folder = tmp_path / "again"
    flow = start(tmp_path, name, output_dir=str(folder), **settings)
    trainer = part(flow, "train::trainer")
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=1), trainer.terminate)
    trainer.run()
    half = part(flow, "network").state_dict()
    state = [key for key in half if key.startswith(("teacher", "loss"))]
    assert any(not torch.equal(half[key], whole[key]) for key in state)
    flow = start(tmp_path, name, output_dir=str(folder), **settings)
    part(flow, "train::trainer").run()
    resumed = part(flow, "network").state_dict()
    assert [key for key in whole if not torch.equal(whole[key], resumed[key])] == []
