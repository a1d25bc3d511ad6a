# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from monai.data import DataLoader, Dataset

from monai_semise.data import GradeBalancedBatchSampler, ShuffledBatchSampler
from monai_semise.utils import InputError

SEVERITY = [0] * 40 + [1] * 20 + [2] * 10 + [3] * 30 + [-1] * 20


def sampler(severity=SEVERITY, batch_size=24, **kwargs):
    return GradeBalancedBatchSampler(severity, batch_size, **kwargs)


def epoch(sampler, number=0):
    sampler.set_epoch(number)
    return list(sampler)


def grades(batch, severity=SEVERITY):
    return Counter(severity[index] for index in batch)


# ---------------------------------------------------------------- what a batch holds


def test_quotas():
    batches = list(sampler())
    # a quarter healthy, the ungraded as in the data (1/6), and the rest shared by three grades
    assert all(grades(batch) == {0: 6, -1: 4, 1: 4, 2: 5, 3: 5} for batch in batches)
    assert all(len(set(batch)) == len(batch) == 24 for batch in batches)


@pytest.mark.parametrize("healthy_fraction", [0.01, 0.25, 0.5, 0.99])
@pytest.mark.parametrize("unlabelled_fraction", [None, 0, 0.3, 0.99])
@pytest.mark.parametrize("batch_size", [2, 3, 5, 16])
def test_always_a_healthy_and_an_anomalous_image(batch_size, healthy_fraction, unlabelled_fraction):
    for batch in sampler(
        batch_size=batch_size, healthy_fraction=healthy_fraction, unlabelled_fraction=unlabelled_fraction
    ):
        found = grades(batch)
        assert found[0] >= 1
        assert sum(n for grade, n in found.items() if grade > 0) >= 1
        assert sum(found.values()) == len(set(batch)) == batch_size


@pytest.mark.parametrize("unlabelled_fraction", [None, 0.25, 0.9])
def test_few_graded_images_are_all_there(unlabelled_fraction):
    """Of 3,000 images, 10 % graded: ungraded ones would fill a batch, and healthy ones the rest."""
    severity = 2700 * [-1] + 150 * [0] + 90 * [1] + 50 * [2] + 8 * [3] + 2 * [4]
    for batch in sampler(severity, batch_size=32, unlabelled_fraction=unlabelled_fraction, n_batches=3):
        assert {0, 1, 2, 3, 4} <= grades(batch, severity).keys()


def test_a_batch_too_small_for_every_grade_says_which_are_missing():
    with pytest.warns(UserWarning, match=r"batch_size: 3 is too small .* severity 1 take no part. Give at least 4"):
        batches = sampler(batch_size=3)
    assert all(grades(batch).keys() == {0, 2, 3} for batch in batches)


@pytest.mark.parametrize(("fraction", "n"), [(0, 0), (0.25, 6), (0.5, 12), (None, 4)])
def test_unlabelled_images(fraction, n):
    assert all(grades(batch)[-1] == n for batch in sampler(unlabelled_fraction=fraction))


def test_no_unlabelled_image_fills_up_when_none_is_wanted():
    severity = [0, 0, 1] + [-1] * 20
    assert all(grades(batch, severity) == {0: 2, 1: 1} for batch in sampler(severity, 8, unlabelled_fraction=0))


def test_a_small_grade_gives_all_and_the_others_fill_up():
    severity = [0] * 10 + [1] * 2 + [2] * 20 + [3] * 20
    assert all(grades(batch, severity) == {0: 4, 1: 2, 2: 5, 3: 5} for batch in sampler(severity, 16))


def test_a_batch_is_never_larger_than_the_data():
    severity = [0, 1, 2, -1]
    assert [sorted(batch) for batch in sampler(severity, 64)] == [[0, 1, 2, 3]]


# ---------------------------------------------------------------- epochs


def test_length():
    assert len(sampler()) == 5 == len(list(sampler()))
    assert len(sampler(batch_size=25)) == math.ceil(120 / 25)
    assert len(sampler(n_batches=7)) == 7 == len(list(sampler(n_batches=7)))


def test_every_image_comes_before_one_of_its_grade_comes_again():
    seen = {grade: [] for grade in set(SEVERITY)}
    for batch in sampler(n_batches=30):
        for index in batch:
            seen[SEVERITY[index]].append(index)
    for grade, indices in seen.items():
        of_grade = {n for n, severity in enumerate(SEVERITY) if severity == grade}
        size = len(of_grade)
        assert set(indices[:size]) == of_grade
        counts = Counter(indices)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_every_image_comes_in_as_many_batches_as_its_grade_needs():
    quota = sampler().quota
    rounds = max(math.ceil(SEVERITY.count(grade) / n) for grade, n in quota.items())
    assert {index for batch in sampler(n_batches=rounds) for index in batch} == set(range(len(SEVERITY)))


def test_epochs_and_seeds_differ_and_repeat():
    first = epoch(sampler(seed=1), 0)
    assert epoch(sampler(seed=1), 0) == first
    assert epoch(sampler(seed=1), 1) != first
    assert epoch(sampler(seed=2), 0) != first
    again = sampler(seed=1)
    assert epoch(again, 5) == epoch(again, 5) == epoch(sampler(seed=1), 5)


def test_order_within_a_batch_is_shuffled():
    assert len({SEVERITY[batch[0]] for batch in sampler(n_batches=20)}) > 1


def test_in_a_loader():
    data = Dataset([{"index": index} for index in range(len(SEVERITY))])
    batches = sampler()
    loader = DataLoader(data, batch_sampler=batches, num_workers=2, persistent_workers=True)
    for number in range(2):
        batches.set_epoch(number)
        assert [batch["index"].tolist() for batch in loader] == epoch(sampler(), number)
    assert len(loader) == len(batches)


# ---------------------------------------------------------------- ranks


@pytest.mark.parametrize("num_replicas", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [6, 7])
def test_ranks_share_the_batch_of_one_process(num_replicas, batch_size):
    whole = epoch(sampler(batch_size=batch_size), 3)
    ranks = [
        epoch(sampler(batch_size=batch_size, num_replicas=num_replicas, rank=rank), 3) for rank in range(num_replicas)
    ]
    assert {len(batches) for batches in ranks} == {len(whole)}
    for batch, *slices in zip(whole, *ranks):
        assert sorted(index for part in slices for index in part) == sorted(batch)
        assert max(map(len, slices)) - min(map(len, slices)) <= 1
        assert min(map(len, slices)) >= 1


@pytest.mark.parametrize("rank", [0, 1])
def test_every_rank_sees_every_grade(rank):
    found = sum((grades(batch) for batch in sampler(num_replicas=2, rank=rank, n_batches=10)), Counter())
    assert set(found) == set(SEVERITY)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("severity", "batch_size", "kwargs", "message"),
    [
        ([1, 2, -1], 2, {}, r"no healthy image \(severity 0\) to serve as reference"),
        ([], 2, {}, r"no healthy image"),
        ([0, 0, -1], 2, {}, r"no anomalous image \(severity 1 or more\)"),
        ([0, 1, 2], 1, {}, r"batch_size: 1 is too small .* on 1 process\(es\); give at least 2"),
        ([0, 1, 2, 3], 3, {"num_replicas": 4, "rank": 0}, r"batch_size: 3 is too small .* on 4 .* give at least 4"),
        ([0, 1, 2], 8, {"num_replicas": 4, "rank": 0}, r"3 image\(s\) are too few for 4 processes"),
    ],
)
def test_input_error(severity, batch_size, kwargs, message):
    with pytest.raises(InputError, match=message):
        sampler(severity, batch_size, **kwargs)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("healthy_fraction", 0),
        ("healthy_fraction", 1),
        ("healthy_fraction", float("nan")),
        ("unlabelled_fraction", -0.1),
        ("unlabelled_fraction", 1),
    ],
)
def test_fraction_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"{name} must lie in .*, got {value}"):
        sampler(**{name: value})


# ---------------------------------------------------------------- what holds for any data


@given(
    severity=st.lists(st.integers(-1, 5), min_size=2, max_size=60),
    batch_size=st.integers(2, 40),
    healthy_fraction=st.floats(0.01, 0.99),
    unlabelled_fraction=st.none() | st.floats(0, 0.99),
    num_replicas=st.integers(1, 3),
    seed=st.integers(0, 2**63),
)
def test_invariants(severity, batch_size, healthy_fraction, unlabelled_fraction, num_replicas, seed):
    assume(0 in severity and max(severity) > 0)
    assume(batch_size >= num_replicas)
    settings = {"healthy_fraction": healthy_fraction, "unlabelled_fraction": unlabelled_fraction, "seed": seed}
    whole = sampler(severity, batch_size, num_replicas=1, rank=0, n_batches=4, **settings)
    batches = list(whole)
    size = len(batches[0])
    assert 2 <= size <= min(batch_size, len(severity))
    quota = grades(batches[0], severity)
    anomalous = [grade for grade in set(severity) if grade > 0]
    for batch in batches:
        assert len(set(batch)) == len(batch) == size
        assert grades(batch, severity) == quota
    assert quota[0] >= 1
    assert sum(quota[grade] for grade in anomalous) >= 1
    # an anomalous grade has at most one image more than another, unless the other has no more to give
    for grade in anomalous:
        if quota[grade] < severity.count(grade):
            assert quota[grade] >= max(quota[other] for other in anomalous) - 1
    if size > len(anomalous):
        assert all(quota[grade] for grade in anomalous)
    if unlabelled_fraction == 0:
        assert quota[-1] == 0
    else:
        assert size == min(batch_size, len(severity))
    assume(size >= num_replicas)
    slices = [
        list(sampler(severity, batch_size, num_replicas=num_replicas, rank=rank, n_batches=4, **settings))
        for rank in range(num_replicas)
    ]
    for batch, *parts in zip(batches, *slices):
        assert all(parts)
        assert sorted(index for part in parts for index in part) == sorted(batch)


# ---------------------------------------------------------------- without grades


@pytest.mark.parametrize(("n_images", "batch_size", "batches"), [(10, 4, 2), (12, 4, 3), (3, 4, 1)])
def test_shuffled_batches_hold_each_image_at_most_once(n_images, batch_size, batches):
    sampler = ShuffledBatchSampler(n_images, batch_size, seed=3)
    first = list(sampler)
    assert len(first) == len(sampler) == batches
    drawn = [index for batch in first for index in batch]
    assert len(set(drawn)) == len(drawn) == batches * min(n_images, batch_size)
    assert set(drawn) <= set(range(n_images))
    assert list(sampler) == first


def test_shuffled_order_depends_on_epoch_and_seed():
    def order(seed, epoch):
        sampler = ShuffledBatchSampler(50, 10, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_shuffled_ranks_share_each_batch():
    whole = list(ShuffledBatchSampler(20, 5))
    parts = [list(ShuffledBatchSampler(20, 5, num_replicas=2, rank=rank)) for rank in (0, 1)]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert sorted(batch) == sorted(shares[0] + shares[1])
    with pytest.raises(InputError, match="too few for 3 process"):
        ShuffledBatchSampler(2, 5, num_replicas=3, rank=0)
