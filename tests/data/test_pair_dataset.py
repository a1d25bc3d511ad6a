# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset, PersistentDataset
from monai.transforms import RandGaussianNoised

from monai_semise.data import (
    PairDataset,
    PreferencePair,
    TwoViewDataset,
    draw_preference_pairs,
    healthy_indices,
    load_datalist,
)
from monai_semise.engines import PrepareSeverityBatch
from monai_semise.losses import SemiseLoss
from monai_semise.transforms import LoadCheckedImaged
from monai_semise.utils import InputError, plain_tensor

SEVERITY = [0, 0, 0, 0, 1, 2, 3, 2]
HEALTHY = [0, 1, 2, 3]
PAIRS = [
    PreferencePair(4, 5, 0.0),
    PreferencePair(6, 5, 1.0, 2.0),
    PreferencePair(5, 7, 0.5, 0.5),
    PreferencePair(4, 6, 0.0),
]


def pair_dataset(graded_items, pairs=PAIRS, **kwargs):
    return PairDataset(Dataset(graded_items(SEVERITY)), pairs, HEALTHY, **kwargs)


def references(dataset, epoch=0):
    dataset.set_epoch(epoch)
    return [[entry["index"] for entry in dataset[n] if entry["role"] == "reference"] for n in range(len(dataset))]


# ---------------------------------------------------------------- items


@pytest.mark.parametrize("n_references", [0, 1, 3])
def test_item(graded_items, n_references):
    dataset = pair_dataset(graded_items, n_references=n_references)
    assert len(dataset) == 4
    a, b, *healthy = dataset[1]
    assert [entry["role"] for entry in (a, b, *healthy)] == ["a", "b"] + ["reference"] * n_references
    assert (a["index"], b["index"]) == (6, 5)
    assert all(entry["severity"] == 0 for entry in healthy)
    assert all((entry["preference"], entry["weight"]) == (1.0, 2.0) for entry in (a, b, *healthy))
    assert "role" not in dataset.dataset[6]


def test_references_are_healthy_and_change_with_pair_epoch_and_seed(graded_items):
    dataset = pair_dataset(graded_items, n_references=20)
    first = references(dataset, epoch=0)
    assert {index for drawn in first for index in drawn} == set(HEALTHY)
    assert first[0] != first[1]
    assert references(dataset, epoch=1) != first
    assert references(dataset, epoch=0) == first == references(pair_dataset(graded_items, n_references=20))
    assert references(pair_dataset(graded_items, n_references=20, seed=1)) != first


@pytest.mark.parametrize(
    ("pairs", "healthy", "message"), [([], HEALTHY, "no pair to learn from"), (PAIRS, [], "no healthy image")]
)
def test_input_error(graded_items, pairs, healthy, message):
    with pytest.raises(InputError, match=f"PairDataset: {message}"):
        PairDataset(Dataset(graded_items(SEVERITY)), pairs, healthy)


@pytest.mark.parametrize(
    ("kind", "image_format", "shape"),
    [
        (Dataset, "png", (32, 32)),
        (CacheDataset, "png", (32, 32)),
        (PersistentDataset, "png", (32, 32)),
        (PersistentDataset, "nifti", (16, 16, 16)),
        (Dataset, "dicom_series", (16, 16, 16)),
    ],
)
def test_over_monai_datasets(phantoms, tmp_path, kind, image_format, shape):
    items = load_datalist(phantoms(image_format, shape[0]))["training"]
    extra = {Dataset: {}, CacheDataset: {"progress": False}, PersistentDataset: {"cache_dir": tmp_path}}[kind]
    images = kind(items, LoadCheckedImaged("image", channels=1, spatial_dims=len(shape)), **extra)
    pairs = draw_preference_pairs(items, 4)
    dataset = PairDataset(images, pairs, healthy_indices(items), n_references=2)
    batch = next(iter(DataLoader(dataset, batch_size=4)))
    views, target = PrepareSeverityBatch()(batch)
    assert views.shape[0] == 1
    assert views.shape[2:] == (1, *shape)
    position = {index: n for n, index in enumerate(target["index"].tolist())}
    assert target["pairs"].tolist() == [[position[pair.a], position[pair.b]] for pair in pairs]
    for n, index in enumerate(target["index"].tolist()):
        assert torch.equal(views[0, n], plain_tensor(images[index]["image"]))
        assert target["severity"][n] == items[index]["severity"]


# ---------------------------------------------------------------- batches


def test_batch_holds_each_image_once_and_pairs_point_at_it(graded_items):
    dataset = pair_dataset(graded_items, n_references=2)
    batch = next(iter(DataLoader(dataset, batch_size=4)))
    assert len(batch["index"]) == 4 * 4
    (images,), target = PrepareSeverityBatch()(batch)
    index = target["index"].tolist()
    assert len(index) == len(set(index)) == len(images)
    assert set(index) == {4, 5, 6, 7} | {i for drawn in references(dataset) for i in drawn}
    assert [(index[a], index[b]) for a, b in target["pairs"]] == [(pair.a, pair.b) for pair in PAIRS]
    assert target["preference"].tolist() == [0.0, 1.0, 0.5, 0.0]
    assert target["weight"].tolist() == [1.0, 2.0, 0.5, 1.0]
    assert target["severity"].tolist() == [SEVERITY[i] for i in index]
    assert torch.equal(images, torch.stack([graded_items(SEVERITY)[i]["image"] for i in index]))


def test_healthy_member_and_reference_are_one_image(graded_items):
    dataset = PairDataset(Dataset(graded_items(SEVERITY)), [PreferencePair(0, 5, 0.0)], healthy=[0], n_references=3)
    (images,), target = PrepareSeverityBatch()(next(iter(DataLoader(dataset, batch_size=1))))
    assert target["index"].tolist() == [0, 5]
    assert len(images) == 2
    assert target["pairs"].tolist() == [[0, 1]]


def test_with_two_views(graded_items):
    images = TwoViewDataset(Dataset(graded_items(SEVERITY)), RandGaussianNoised("image", prob=1.0))
    dataset = PairDataset(images, PAIRS, HEALTHY)
    views, target = PrepareSeverityBatch()(next(iter(DataLoader(dataset, batch_size=4))))
    assert views.shape == (2, len(target["index"]), 1, 8, 8)
    for n, index in enumerate(target["index"].tolist()):
        assert torch.equal(views[0, n], images[index]["image"])
        assert torch.equal(views[1, n], images[index]["image_2"])


def test_feeds_the_loss(graded_items):
    images, target = PrepareSeverityBatch(["original", "augmented"], augment=torch.neg)(
        next(iter(DataLoader(pair_dataset(graded_items), batch_size=4)))
    )
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(*images.shape[:2], 2, 8, generator=generator, requires_grad=True)
    loss = SemiseLoss()(embeddings, target)
    loss.backward()
    assert torch.isfinite(loss)
    assert embeddings.grad is not None
    assert embeddings.grad.abs().sum() > 0


@pytest.mark.parametrize(("num_workers", "persistent"), [(1, False), (2, False), (2, True)])
def test_same_batches_with_any_number_of_workers(graded_items, num_workers, persistent):
    def batches(**kwargs):
        dataset = pair_dataset(graded_items, n_references=4)
        loader = DataLoader(dataset, batch_size=2, **kwargs)
        found = []
        for epoch in (0, 1, 2):
            dataset.set_epoch(epoch)
            found.append([batch["index"].tolist() for batch in loader])
        return found

    found = batches(num_workers=num_workers, persistent_workers=persistent)
    assert found == batches(num_workers=0)
    assert found[0] != found[1] != found[2]
