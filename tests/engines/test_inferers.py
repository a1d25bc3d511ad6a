# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_semise.engines import SeverityInferer, ViewInferer
from monai_semise.losses import cosine_distance
from monai_semise.networks import SemiseNet
from monai_semise.utils.heads import PREFERENCE


class Recorder(nn.Module):
    """Two heads of three dimensions, and the shapes that it was called with."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.shapes = []

    def forward(self, image, scale=1.0):
        self.shapes.append(tuple(image.shape))
        mean = self.norm(image).mean(dim=(1, 2, 3)) * scale
        return torch.stack([mean, 2 * mean], dim=1)[..., None].expand(-1, -1, 3)


@pytest.mark.parametrize("n_views", [1, 2, 3])
def test_all_views_in_one_forward_pass(n_views):
    network, inputs = Recorder(), torch.rand(n_views, 4, 1, 8, 8)
    outputs = ViewInferer()(inputs, network)
    assert network.shapes == [(n_views * 4, 1, 8, 8)]
    assert outputs.shape == (n_views, 4, 2, 3)
    assert int(network.norm.num_batches_tracked) == 1


def test_views_and_images_keep_their_places():
    network, inputs = Recorder().eval(), torch.rand(2, 4, 1, 8, 8)
    outputs = ViewInferer()(inputs, network)
    for view in range(2):
        assert torch.allclose(outputs[view], network(inputs[view]))


def test_further_arguments_reach_the_network():
    network, inputs = Recorder().eval(), torch.rand(2, 4, 1, 8, 8)
    assert torch.allclose(ViewInferer()(inputs, network, scale=3.0), 3 * ViewInferer()(inputs, network))
    assert torch.allclose(ViewInferer()(inputs, network, 3.0), 3 * ViewInferer()(inputs, network))


def test_gradients_reach_the_network():
    network = Recorder()
    ViewInferer()(torch.rand(2, 4, 1, 8, 8), network)[0, 0, 0, 0].backward()
    assert network.norm.weight.grad is not None


class Wrapped(nn.Module):
    """What ``DistributedDataParallel`` does to the network's attributes."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SemiseNet("resnet10", in_channels=1, embedding_dim=8).eval()


@pytest.mark.parametrize("wrap", [lambda network: network, Wrapped], ids=["bare", "wrapped"])
def test_severity(network, wrap):
    reference = torch.randn(8)
    network.set_healthy_reference(reference)
    images = torch.rand(1, 3, 1, 32, 32)
    with torch.no_grad():
        result = SeverityInferer()(images, wrap(network))
        embeddings = network(images[0])
    assert torch.allclose(result["embedding"], embeddings[:, PREFERENCE])
    assert torch.allclose(result["score"], cosine_distance(embeddings[:, PREFERENCE], reference))
    assert result["score"].shape == (3,)


def test_severity_needs_the_healthy_reference():
    network = SemiseNet("resnet10", in_channels=1, embedding_dim=8).eval()
    with pytest.raises(RuntimeError, match="no healthy reference yet"):
        SeverityInferer()(torch.rand(1, 2, 1, 32, 32), network)
