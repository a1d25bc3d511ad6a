# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset, PersistentDataset, SmartCacheDataset
from monai.transforms import Compose, OneOf, RandFlipd, RandGaussianNoised, Randomizable, RandRotated, ScaleIntensityd

from monai_semise.data import TwoViewDataset, load_datalist
from monai_semise.engines import PrepareSeverityBatch, ViewInferer
from monai_semise.losses import SemiseLoss
from monai_semise.networks import SemiseNet
from monai_semise.transforms import LoadCheckedImaged

N = 6


def noise():
    return Compose([RandGaussianNoised("image", prob=1.0, std=1.0)])


def two_views(graded_items, **kwargs):
    return TwoViewDataset(Dataset(graded_items([0, 1, 2] * (N // 3))), noise(), **kwargs)


def draws(loader, epochs=(0,), key="image_2"):
    """What the loader brings, a tensor of shape (N, 1, 8, 8) for each epoch."""
    result = []
    for epoch in epochs:
        loader.dataset.set_epoch(epoch)
        result.append(torch.cat([batch[key].clone() for batch in loader]))
    return result


def distinct(tensors):
    return len({tensor.numpy().tobytes() for tensor in tensors})


# ---------------------------------------------------------------- the two views


@pytest.mark.parametrize("views", [("original", "augmented"), ("augmented", "original")])
def test_one_view_of_each_kind(graded_items, views):
    dataset = two_views(graded_items, views=views)
    for index in range(N):
        item, original = dataset[index], dataset.dataset[index]["image"]
        for key, view in zip(("image", "image_2"), views):
            assert torch.equal(item[key], original) is (view == "original")


def test_two_augmented_views_differ(graded_items):
    item = two_views(graded_items, views=("augmented", "augmented"))[0]
    assert not torch.equal(item["image"], item["image_2"])


def test_two_originals_need_no_draw(graded_items):
    item = two_views(graded_items, views=("original", "original"))[0]
    assert torch.equal(item["image"], item["image_2"])


def test_other_fields_and_the_dataset_stay(graded_items):
    dataset = two_views(graded_items)
    before = dataset.dataset[1]["image"].clone()
    item = dataset[1]
    assert set(item) == {"image", "image_2", "severity", "index"}
    assert (item["severity"], item["index"]) == (1, 1)
    assert torch.equal(dataset.dataset[1]["image"], before)
    assert "image_2" not in dataset.dataset[1]


def test_key(graded_items):
    items = [{"scan": item["image"]} for item in graded_items([0, 1])]
    item = TwoViewDataset(items, RandGaussianNoised("scan", prob=1.0), key="scan")[0]
    assert set(item) == {"scan", "scan_2"}


def test_deterministic_transform(graded_items):
    dataset = TwoViewDataset(graded_items([0, 1]), lambda item: {**item, "image": item["image"] + 1})
    assert torch.equal(dataset[0]["image_2"], dataset[0]["image"] + 1)


@pytest.mark.parametrize("views", [("original",), ("original", "augmented", "augmented")])
def test_number_of_views(graded_items, views):
    with pytest.raises(ValueError, match="views names two views"):
        two_views(graded_items, views=views)


def test_unknown_view(graded_items):
    with pytest.raises(ValueError, match="augmentd"):
        two_views(graded_items, views=("original", "augmentd"))


# ---------------------------------------------------------------- with MONAI's datasets


@pytest.mark.parametrize("kind", [Dataset, CacheDataset, PersistentDataset])
def test_over_monai_datasets(phantoms, tmp_path, kind):
    items = load_datalist(phantoms())["training"][:4]
    load = Compose([LoadCheckedImaged("image", channels=1), ScaleIntensityd("image")])
    extra = {Dataset: {}, CacheDataset: {"progress": False}, PersistentDataset: {"cache_dir": tmp_path}}[kind]
    augment = Compose([RandRotated("image", range_x=0.5, prob=1.0), RandGaussianNoised("image", prob=1.0)])
    dataset = TwoViewDataset(kind(items, load, **extra), augment, seed=5)
    reference = TwoViewDataset(Dataset(items, load), augment, seed=5)
    dataset[2]  # now a PersistentDataset has this item in its cache, the others not
    for batch in (next(iter(DataLoader(dataset, batch_size=4))) for _ in range(2)):  # the second time from the cache
        assert batch["image"].shape == batch["image_2"].shape == (4, 1, 32, 32)
        assert batch["index"].tolist() == [0, 1, 2, 3]
        for index in range(4):
            assert torch.equal(batch["image_2"][index], reference[index]["image_2"])
            assert torch.equal(batch["image"][index], reference.dataset[index]["image"].as_tensor())


@pytest.mark.parametrize("image_format", ["nifti", "dicom_series"])
def test_volumes(phantoms, image_format):
    """Two views of volumes, to the gradient of the loss."""
    items = load_datalist(phantoms(image_format, size=16))["training"][:6]
    load = Compose([LoadCheckedImaged("image", channels=1, spatial_dims=3), ScaleIntensityd("image")])
    rotate = RandRotated("image", range_x=0.3, range_y=0.3, range_z=0.3, prob=1.0)
    dataset = TwoViewDataset(Dataset(items, load), Compose([rotate, RandFlipd("image", spatial_axis=2, prob=1.0)]))
    batch = next(iter(DataLoader(dataset, batch_size=6)))
    views, target = PrepareSeverityBatch()(batch)
    assert views.shape == (2, 6, 1, 16, 16, 16)
    assert torch.equal(views[0, 3], load(dict(items[3]))["image"].as_tensor())
    assert not any(torch.allclose(one, two, atol=0.05) for one, two in zip(*views))
    # the random rotation is small: the second view, flipped back, still is the same volume
    flipped = views[1].flip(-1)
    likeness = torch.corrcoef(torch.cat([views[0], flipped]).flatten(1))[:6, 6:]
    assert (likeness.argmax(dim=1) == torch.arange(6)).all()
    network = SemiseNet("resnet10", spatial_dims=3, embedding_dim=8)
    loss = SemiseLoss()(ViewInferer()(views, network), target)
    loss.backward()
    assert loss.isfinite()
    assert network.encoder.conv1.weight.grad.abs().max() > 0


# ---------------------------------------------------------------- the draws


def test_draws_differ_between_items_views_epochs_and_seeds(graded_items):
    found = []
    for seed in (0, 1):
        dataset = two_views(graded_items, seed=seed, views=("augmented", "augmented"))
        for epoch in (0, 1):
            dataset.set_epoch(epoch)
            for index in range(N):
                item, original = dataset[index], dataset.dataset[index]["image"]
                found += [item[key] - original for key in ("image", "image_2")]
    rounded = [(value * 1000).round() for value in found]
    assert distinct(rounded) == 2 * 2 * N * 2


def test_draws_repeat_whatever_was_drawn_before(graded_items):
    first = [two_views(graded_items, seed=3)[index]["image_2"] for index in range(N)]
    torch.manual_seed(99)
    np.random.seed(99)
    backwards = two_views(graded_items, seed=3)
    for index in reversed(range(N)):
        backwards[index]
        assert torch.equal(backwards[index]["image_2"], first[index])


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("num_workers", "persistent"), [(0, False), (1, False), (2, False), (2, True)])
def test_same_values_with_any_number_of_workers(graded_items, num_workers, persistent, shuffle):
    def loader(**kwargs):
        generator = torch.Generator().manual_seed(7)
        dataset = two_views(graded_items, seed=3)
        return DataLoader(dataset, batch_size=2, shuffle=shuffle, generator=generator, **kwargs)

    epochs = (0, 1, 2, 1)
    found = draws(loader(num_workers=num_workers, persistent_workers=persistent), epochs)
    if not shuffle:
        reference = draws(loader(num_workers=0), epochs)
        assert all(torch.equal(a, b) for a, b in zip(found, reference))
        assert torch.equal(found[1], found[3])
    assert distinct(row for epoch in found[:3] for row in epoch) == 3 * N
    again = draws(loader(num_workers=num_workers, persistent_workers=persistent), epochs)
    assert all(torch.equal(a, b) for a, b in zip(found, again))


def test_nested_choice_repeats(graded_items):
    augment = Compose([OneOf([RandGaussianNoised("image", prob=0.5), RandGaussianNoised("image", prob=1.0, mean=5.0)])])
    views = [TwoViewDataset(graded_items([0, 1] * 10), augment, seed=1) for _ in range(2)]
    first, second = ([view[index]["image_2"] for index in range(20)] for view in views)
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    assert {bool(value.mean() > 3) for value in first} == {True, False}


# ---------------------------------------------------------------- why TwoViewDataset is not Randomizable


def test_transform_that_draws_from_torch_repeats_and_leaves_torch_alone(graded_items):
    dataset = TwoViewDataset(graded_items([0, 1]), lambda d: {**d, "image": torch.rand(1, 8, 8)})
    before = torch.get_rng_state()
    first, again = dataset[1]["image_2"], dataset[1]["image_2"]
    assert torch.equal(first, again)
    assert not torch.equal(first, dataset[0]["image_2"])
    assert torch.equal(before, torch.get_rng_state())


class RandomizableDataset(Dataset, Randomizable):
    """The usual way to write a dataset with draws of its own, as MONAI's ``MedNISTDataset`` and others are."""


def augmentations(dataset, num_workers, epochs=2):
    """Noise of each image in each epoch: what MONAI's loader brings, less the constant image."""
    loader = DataLoader(dataset, batch_size=1, num_workers=num_workers)
    return [[batch["image"].as_tensor() - batch["image"].mean() for batch in loader] for _ in range(epochs)]


def repeats_over_epochs(dataset):
    first, second = augmentations(dataset, num_workers=2)
    return all(torch.equal(a, b) for a, b in zip(first, second))


def test_monai_still_repeats_the_augmentation_of_a_randomizable_dataset(graded_items):
    """MONAI's loader seeds a ``Randomizable`` dataset and never reaches its transform, so that every epoch (and every
    worker) augments alike. When this fails, MONAI has mended it: TwoViewDataset and its docstring can be simpler."""
    items = [{**item, "image": torch.zeros(1, 8, 8)} for item in graded_items([0, 1, 2, 1])]
    assert repeats_over_epochs(RandomizableDataset(items, noise()))
    smart = SmartCacheDataset(items, noise(), replace_rate=0.5, cache_num=3, shuffle=False, progress=False)
    assert isinstance(smart, Randomizable)
    assert repeats_over_epochs(smart)
    # the two workers start from the same state too: images 0 and 1 are the first of theirs
    first = augmentations(RandomizableDataset(items, noise()), num_workers=2)[0]
    assert torch.equal(first[0], first[1])


def test_monai_draws_anew_for_other_datasets(graded_items):
    items = [{**item, "image": torch.zeros(1, 8, 8)} for item in graded_items([0, 1, 2, 1])]
    assert not repeats_over_epochs(Dataset(items, noise()))


def test_two_view_dataset_does_not_repeat(graded_items):
    dataset = two_views(graded_items)
    first, second = draws(DataLoader(dataset, batch_size=1, num_workers=2), epochs=(0, 1))
    assert not any(torch.equal(a, b) for a, b in zip(first, second))
    assert not isinstance(dataset, Randomizable)
