# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.data import CacheDataset, Dataset
from monai.transforms import Lambdad
from torch import nn

from monai_semise.data import load_datalist
from monai_semise.engines import embed_images, update_healthy_reference
from monai_semise.networks import SemiseNet
from monai_semise.transforms import LoadCheckedImaged
from monai_semise.utils.heads import PROJECTION

SEVERITY = [0, 2, -1, 1, 0, 3, 0]


class Mean(nn.Module):
    """Two heads that tell the image, with dropout and batch statistics that only evaluation mode leaves alone."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.drop = nn.Dropout(0.5)
        self.sizes = []

    def forward(self, image):
        self.sizes.append(len(image))
        mean = self.drop(self.norm(image)).mean(dim=(1, 2, 3))
        return torch.stack([mean, -mean], dim=1)[..., None].expand(-1, -1, 4)


@pytest.fixture
def dataset(graded_items):
    return Dataset(graded_items(SEVERITY))


def expected(dataset, indices):
    value = torch.stack([dataset[i]["image"].mean() for i in indices]) / (1 + 1e-5) ** 0.5
    return torch.stack([value, -value], dim=1)[..., None].expand(-1, -1, 4)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_all_images_in_order(dataset, batch_size, num_workers):
    result = embed_images(Mean(), dataset, batch_size=batch_size, num_workers=num_workers)
    assert result.index.tolist() == list(range(7))
    assert result.severity.tolist() == SEVERITY
    assert torch.allclose(result.embeddings, expected(dataset, range(7)))
    assert result.embeddings.shape == (7, 2, 4)


@pytest.mark.parametrize("indices", [[5, 0, 3], [4], (6, 6, 1)])
def test_indices_in_the_order_given(dataset, indices):
    result = embed_images(Mean(), dataset, indices, batch_size=2)
    assert result.index.tolist() == list(indices)
    assert result.severity.tolist() == [SEVERITY[i] for i in indices]
    assert torch.allclose(result.embeddings, expected(dataset, indices))


def test_batch_size(dataset):
    network = Mean()
    embed_images(network, dataset, batch_size=3)
    assert network.sizes == [3, 3, 1]


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_restored_and_statistics_stay(dataset, training):
    network = Mean().train(training)
    embed_images(network, dataset)
    assert network.training is network.norm.training is training
    assert int(network.norm.num_batches_tracked) == 0


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_restored_after_an_error(dataset, training):
    network = Mean().train(training)
    broken = Dataset([*dataset.data[:3], {"image": torch.zeros(2, 8, 8), "severity": 0, "index": 3}])
    with pytest.raises(RuntimeError, match="running_mean should contain 2"):
        embed_images(network, broken, batch_size=1)
    assert network.training is training


def test_frozen_part_stays_in_evaluation_mode(dataset):
    network = Mean().train()
    network.norm.eval()
    embed_images(network, dataset)
    assert (network.training, network.norm.training, network.drop.training) == (True, False, True)


def test_what_a_dataset_keeps_can_be_trained_on(graded_items):
    transform = Lambdad("image", lambda image: image * 2)
    dataset = CacheDataset(graded_items(SEVERITY), transform, runtime_cache=True, copy_cache=False)
    embed_images(Mean(), dataset)
    assert not any(dataset[n]["image"].is_inference() for n in range(7))


def test_embeddings_can_be_trained_on(dataset):
    result = embed_images(Mean(), dataset)
    assert not result.embeddings.requires_grad
    assert not any(value.is_inference() for value in result)
    weight = torch.ones(4, requires_grad=True)
    (result.embeddings * weight).sum().backward()
    assert weight.grad is not None


def test_wrapped_network_and_half_precision(dataset):
    result = embed_images(nn.DataParallel(Mean()).to(torch.bfloat16), Dataset([half(item) for item in dataset.data]))
    assert result.embeddings.dtype == torch.float32
    assert torch.allclose(result.embeddings, expected(dataset, range(7)), atol=0.02)


def half(item):
    return {**item, "image": item["image"].to(torch.bfloat16)}


def test_real_images(phantoms):
    items = load_datalist(phantoms())["validation"]
    torch.manual_seed(0)
    network = SemiseNet("resnet10", in_channels=1, embedding_dim=8)
    result = embed_images(network, CacheDataset(items, LoadCheckedImaged("image", channels=1), progress=False))
    assert result.embeddings.shape == (10, 2, 8)
    assert result.severity.tolist() == [item["severity"] for item in items]


# ---------------------------------------------------------------- the healthy reference


@pytest.mark.parametrize("batch_size", [2, 64])
def test_healthy_reference_is_the_mean_projection(batch_size):
    torch.manual_seed(0)
    images = torch.rand(7, 1, 32, 32)
    items = [{"image": images[n], "severity": grade, "index": n} for n, grade in enumerate(SEVERITY)]
    network = SemiseNet("resnet10", in_channels=1, embedding_dim=8).train()
    assert not network.has_reference
    update_healthy_reference(network, Dataset(items), healthy=[0, 4, 6], batch_size=batch_size)
    assert network.training
    assert network.has_reference
    network.eval()
    with torch.no_grad():
        by_hand = sum(network.projection(network.features(images[n : n + 1]))[0] for n in (0, 4, 6)) / 3
        assert torch.allclose(network(images[[0, 4, 6]])[:, PROJECTION].mean(0), by_hand, atol=1e-5)
    assert torch.allclose(network.healthy_reference, by_hand, atol=1e-5)


def test_healthy_reference_of_a_wrapped_network():
    items = [{"image": torch.rand(1, 32, 32), "severity": 0, "index": 0}]
    network = SemiseNet("resnet10", in_channels=1, embedding_dim=8)
    update_healthy_reference(nn.DataParallel(network), Dataset(items), healthy=[0])
    assert network.has_reference
    assert network.healthy_reference.abs().sum() > 0


def test_no_image_at_all(dataset):
    with pytest.raises(ValueError, match="no image to embed"):
        embed_images(Mean(), dataset, indices=[])
