# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.data import Dataset

from monai_semise.apps.neighbours import Neighbours, save_neighbours
from monai_semise.networks import SemiseNet
from monai_semise.utils import InputError, save_checkpoint


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    torch.manual_seed(0)
    network = SemiseNet("resnet10", embedding_dim=8).eval()
    grades = [0, 2, -1, 1, 0]
    items = [{"image": f"{n}.png", "severity": grade, "index": n} for n, grade in enumerate(grades)]
    dataset = Dataset([{**item, "image": torch.rand(1, 32, 32)} for item in items])
    path = tmp_path_factory.mktemp("neighbours") / "training_embeddings.pt"
    save_neighbours(path, network, dataset, items, batch_size=2)
    return network, dataset, path


def test_an_image_is_its_own_nearest_neighbour(case):
    network, dataset, path = case
    with torch.inference_mode():
        found = Neighbours(path).nearest(network.embedding(dataset[1]["image"][None]), k=2)
    assert (found[0][0].image, found[0][0].severity) == ("1.png", 2)
    assert found[0][0].similarity == pytest.approx(1, abs=1e-3)
    assert found[0][1].similarity <= found[0][0].similarity


def test_order_is_that_of_the_cosine_and_ungraded_images_are_left_out(case):
    network, dataset, path = case
    with torch.inference_mode():
        embedding = network.embedding(torch.stack([dataset[n]["image"] for n in range(5)]))
    cosine = torch.nn.functional.cosine_similarity(embedding[:, None], embedding[None], dim=2)
    expected = [f"{n}.png" for n in cosine[0].argsort(descending=True).tolist() if n != 2]
    assert [neighbour.image for neighbour in Neighbours(path).nearest(embedding[:1], k=9)[0]] == expected


@pytest.mark.parametrize("content", [{"images": ["a"]}, {"images": 1, "severity": 2, "embedding": 3}, [1]])
def test_another_file_is_refused(content, tmp_path):
    save_checkpoint(tmp_path / "x.pt", content)
    with pytest.raises(InputError, match="holds no embeddings of training images"):
        Neighbours(tmp_path / "x.pt")
