# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import RandGaussianNoised

from monai_semise.data import TwoViewDataset
from monai_semise.engines import PrepareSeverityBatch
from monai_semise.transforms import RandBatchAugment


def batch(index, **kwargs):
    """A collated batch whose images tell their index."""
    index = torch.tensor(index)
    return {
        "image": index.float().view(-1, 1, 1, 1).expand(-1, 1, 4, 4),
        "severity": index % 3,
        "index": index,
        **kwargs,
    }


def test_one_view():
    views, target = PrepareSeverityBatch()(batch([4, 2, 9]))
    assert views.shape == (1, 3, 1, 4, 4)
    assert views[0, :, 0, 0, 0].tolist() == [4, 2, 9]
    assert {field: value.tolist() for field, value in target.items()} == {"severity": [1, 2, 0], "index": [4, 2, 9]}


@pytest.mark.parametrize(
    ("views", "values"),
    [
        (["original", "augmented"], [[4, 2], [-4, -2]]),
        (["augmented", "original"], [[-4, -2], [4, 2]]),
        (["augmented"], [[-4, -2]]),
        (["original", "original", "augmented"], [[4, 2], [4, 2], [-4, -2]]),
    ],
)
def test_views_come_in_the_order_given(views, values):
    found, _ = PrepareSeverityBatch(views, augment=torch.neg)(batch([4, 2]))
    assert found[:, :, 0, 0, 0].tolist() == values


def test_two_augmented_views_are_drawn_apart():
    found, _ = PrepareSeverityBatch(["augmented", "augmented"], augment=RandBatchAugment())(
        {**batch([1, 2]), "image": torch.rand(2, 1, 8, 8)}
    )
    assert not torch.equal(found[0], found[1])


def test_repeated_images_are_kept_once_where_first_met():
    data = batch([7, 3, 7, 5, 3, 7])
    data["image"] = data["image"] + torch.arange(6).view(-1, 1, 1, 1) / 10  # repeats that differ: the first counts
    views, target = PrepareSeverityBatch()(data)
    assert target["index"].tolist() == [7, 3, 5]
    assert target["severity"].tolist() == [1, 0, 2]
    assert torch.allclose(views[0, :, 0, 0, 0], torch.tensor([7.0, 3.1, 5.3]))


def test_pairs_point_at_the_distinct_images():
    data = batch(
        [7, 3, 0, 3, 5, 0, 5, 7, 6],
        role=["a", "b", "reference"] * 3,
        preference=torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5], dtype=torch.float64),
        weight=torch.tensor([1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0], dtype=torch.float64),
    )
    _, target = PrepareSeverityBatch()(data)
    assert target["index"].tolist() == [7, 3, 0, 5, 6]
    assert target["pairs"].tolist() == [[0, 1], [1, 3], [3, 0]]
    assert target["preference"].tolist() == [1.0, 0.0, 0.5]
    assert target["weight"].tolist() == [1.0, 2.0, 0.0]
    assert target["preference"].dtype == target["weight"].dtype == torch.float32


def test_second_view_of_the_batch(graded_items):
    dataset = TwoViewDataset(Dataset(graded_items([0, 1, 2])), RandGaussianNoised("image", prob=1.0))
    data = next(iter(DataLoader(dataset, batch_size=3)))
    views, _ = PrepareSeverityBatch(["original"])(data)  # `views` has no effect
    assert torch.equal(views[0], data["image"])
    assert torch.equal(views[1], data["image_2"])


def test_second_view_of_repeated_images():
    data = batch([7, 7, 3])
    views, _ = PrepareSeverityBatch()({**data, "image_2": -data["image"]})
    assert views[:, :, 0, 0, 0].tolist() == [[7, 3], [-7, -3]]


def test_metadata_is_dropped(graded_items):
    items = [
        {**item, "image": MetaTensor(item["image"], meta={"filename_or_obj": "a.png"})} for item in graded_items([0, 1])
    ]
    data = next(iter(DataLoader(Dataset(items), batch_size=2)))
    assert isinstance(data["image"], MetaTensor)
    seen = []
    views, target = PrepareSeverityBatch(["augmented"], augment=lambda x: seen.append(type(x)) or x)(data)
    assert seen == [torch.Tensor]
    assert all(type(value) is torch.Tensor for value in (views, *target.values()))
    assert torch.equal(views[0], torch.stack([item["image"] for item in items]).as_tensor())


def test_severity_as_a_list():
    _, target = PrepareSeverityBatch()({**batch([4, 2]), "severity": [2, 0]})
    assert target["severity"].tolist() == [2, 0]


def test_device_and_type():
    data = batch([4, 2], role=["a", "b"], preference=torch.ones(2), weight=torch.ones(2))
    views, target = PrepareSeverityBatch()(data, device="meta", non_blocking=True, dtype=torch.float16)
    assert (views.device.type, views.dtype) == ("meta", torch.float16)
    assert all(value.device.type == "meta" for value in target.values())
    assert target["index"].dtype == torch.int64


def test_augmented_view_needs_an_augmentation():
    with pytest.raises(ValueError, match='"augmented" view needs `augment`'):
        PrepareSeverityBatch(["original", "augmented"])


def test_unknown_view():
    with pytest.raises(ValueError, match="orignal"):
        PrepareSeverityBatch(["orignal"])
