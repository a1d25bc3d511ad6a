# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.data import Dataset

from monai_semise.engines import GradeInferer, PrepareGradedBatch, encode_items
from monai_semise.networks import SeverityClassifier


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SeverityClassifier(3, "resnet10", hidden_channels=(8,))


def dataset(n):
    random = torch.Generator().manual_seed(1)
    return Dataset(
        [{"image": torch.rand(1, 32, 32, generator=random), "severity": k % 3, "index": k} for k in range(n)]
    )


def test_prepare_augments_images_and_leaves_grades():
    batch = {"image": torch.rand(4, 1, 8, 8), "severity": torch.tensor([0, 1, 2, 0])}
    image, severity = PrepareGradedBatch(augment=torch.neg)(batch, device="cpu", dtype=torch.float64)
    assert torch.equal(image, -batch["image"].double())
    assert severity.tolist() == [0, 1, 2, 0]
    assert torch.equal(PrepareGradedBatch()(batch)[0], batch["image"])


def test_inferer_gives_what_the_network_says(network):
    image = torch.rand(4, 1, 32, 32)
    network.eval()
    with torch.inference_mode():
        output = GradeInferer()(image, network)
        expected = network.probabilities(network(image))
    assert torch.equal(output["probabilities"], expected)
    assert torch.equal(output["grade"], expected.argmax(dim=1))


def test_encoded_items_give_the_same_logits_as_their_images(network):
    images = dataset(7)
    encoded = encode_items(network, images, batch_size=3)
    assert [(item["severity"], item["index"]) for item in encoded] == [(n % 3, n) for n in range(7)]
    network.eval()
    with torch.inference_mode():
        expected = network(torch.stack([images[n]["image"] for n in range(7)]))
        found = network(torch.stack([item["image"] for item in encoded]))
    assert torch.allclose(found, expected, atol=1e-5)


def test_training_a_head_on_encoded_items_is_training_it_on_images():
    """Head weights after some steps, dropout included."""
    images = dataset(6)

    def train(items):
        torch.manual_seed(3)
        network = SeverityClassifier(3, "resnet10", hidden_channels=(8,))
        items = items(network)
        network.train()
        optimizer = torch.optim.SGD(network.head.parameters(), lr=0.1)
        torch.manual_seed(4)
        for _ in range(5):
            optimizer.zero_grad()
            logits = network(torch.stack([items[n]["image"] for n in range(6)]))
            torch.nn.functional.cross_entropy(logits, torch.arange(6) % 3).backward()
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in network.head.parameters()])

    on_images, on_features = train(lambda network: images), train(lambda network: encode_items(network, images))
    assert torch.allclose(on_images, on_features, atol=1e-5)


def test_a_trainable_encoder_is_refused_and_no_image_is_fine(network):
    with pytest.raises(ValueError, match="not frozen"):
        encode_items(SeverityClassifier(3, "resnet10", freeze=False), dataset(2))
    assert encode_items(network, dataset(0)) == []
