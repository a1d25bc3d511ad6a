# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from monai_semise.engines import ChunkedInferer, ViewInferer
from monai_semise.losses import NTXentLoss
from monai_semise.methods.predictor_net import PredictorNet
from monai_semise.networks import SemiseNet
from monai_semise.utils import InputError


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = SemiseNet("resnet10", embedding_dim=8).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after a training, so that frozen statistics do something
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
    return network


def step(network, images, inferer):
    """Loss, gradients and buffers of one training step on two views."""
    network = copy.deepcopy(network).train()
    embeddings = ViewInferer(inferer)(images, network)
    loss = NTXentLoss()(embeddings[0, :, 1], embeddings[1, :, 1])
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    return loss, gradients, {name: value.clone() for name, value in network.named_buffers()}


@pytest.mark.parametrize("chunk_size", [1, 3, 7, 20])
def test_chunks_give_the_loss_and_the_gradients_of_the_whole_batch(network, chunk_size):
    images = torch.rand(2, 7, 1, 32, 32, dtype=torch.float64)
    whole = step(network, images, ChunkedInferer(frozen_norm=True))
    chunked = step(network, images, ChunkedInferer(chunk_size, frozen_norm=True))
    for a, b in zip(whole, chunked):
        torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-12)


def test_frozen_norm_keeps_the_running_statistics_and_the_mode(network):
    before = {name: value.clone() for name, value in network.named_buffers()}
    *_, after = step(network, torch.rand(2, 4, 1, 32, 32).double(), ChunkedInferer(3, frozen_norm=True))
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    network.train()
    ChunkedInferer(3, frozen_norm=True)(torch.rand(4, 1, 32, 32).double(), network).sum().backward()
    assert all(module.training for module in network.modules())


def test_batch_norm_takes_the_statistics_of_a_chunk_and_moves_once_for_each(network):
    images = torch.rand(6, 1, 32, 32).double()
    by_hand, chunked = copy.deepcopy(network).train(), copy.deepcopy(network).train()
    expected = torch.cat([by_hand(chunk) for chunk in images.split(2)])
    found = ChunkedInferer(2)(images, chunked)
    torch.testing.assert_close(found, expected)
    expected.pow(2).sum().backward()
    found.pow(2).sum().backward()
    for (name, a), b in zip(by_hand.named_parameters(), chunked.parameters()):
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-9, atol=1e-10, msg=name)
    torch.testing.assert_close(dict(chunked.named_buffers()), dict(by_hand.named_buffers()))


def test_random_layers_repeat_their_draws():
    network = nn.Sequential(nn.Linear(4, 50), nn.Dropout(0.5), nn.Linear(50, 1, bias=False))
    torch.manual_seed(1)
    output = ChunkedInferer(2)(torch.rand(6, 4), network)
    output.sum().backward()
    # the output is linear in the last weights: their gradient gives it back only if the same units were dropped
    torch.testing.assert_close((network[2].weight * network[2].weight.grad).sum(), output.sum())


def kept_bytes(network, images, inferer):
    """What autograd keeps from the forward pass, chunks computed anew left out."""
    kept = []

    def pack(tensor):
        kept.append(tensor.nbytes)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        inferer(images, network)
    return sum(kept)


def test_activations_are_not_kept(network):
    images = torch.rand(8, 1, 64, 64).double()
    assert kept_bytes(network, images, ChunkedInferer(2)) < 0.01 * kept_bytes(network, images, ChunkedInferer())


def test_without_gradients_the_batch_is_whole(network):
    with torch.no_grad():
        ChunkedInferer(2)(torch.rand(6, 1, 32, 32).double(), network.train())
    assert int(network.encoder.bn1.num_batches_tracked) == 1


def test_bad_chunk_size_is_refused():
    with pytest.raises(ValueError, match="chunk_size must be at least 1, got 0"):
        ChunkedInferer(0)


def test_a_teacher_that_moves_at_each_call_is_refused():
    network = PredictorNet("resnet10", embedding_dim=8)
    with pytest.raises(InputError, match="chunk_size: PredictorNet must see its batch as a whole"):
        ChunkedInferer(2)(torch.rand(6, 1, 32, 32), network)
    assert ChunkedInferer(6)(torch.rand(6, 1, 32, 32), network).shape == (6, 2, 8)
