# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import random
import warnings
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monai_semise.data.splits import draw_labelled_groups, draw_split
from monai_semise.utils import InputError

SHARES = {"test": 0.15, "validation": 0.15}

NAMES = st.sampled_from("abcdefghij") | st.text(st.characters(exclude_categories=()), max_size=4)
"""Few, so that groups have several images; or anything that Python takes for text, NUL and half surrogates too."""
IMAGES = st.lists(st.tuples(NAMES, st.integers(-1, 4)), max_size=24)
SOME_SHARES = st.fixed_dictionaries({"test": st.floats(0, 0.6), "validation": st.floats(0, 0.39)})


def columns(images):
    return [group for group, _ in images], [grade for _, grade in images]


def patients(count, weights, images_each=(1, 2, 3), seed=0):
    """Images of ``count`` patients; most of a patient's images have one grade, drawn by weight."""
    draw = random.Random(seed)
    images = []
    for n in range(count):
        grade = draw.choices(range(len(weights)), weights)[0]
        for _ in range(draw.choice(images_each)):
            images.append((f"patient {n}", grade if draw.random() < 0.8 else max(0, grade - 1)))
    return images


def shares_of(images, section):
    """Share of the images of every grade in each section."""
    total = Counter(grade for _, grade in images)
    inside = Counter((section[group], grade) for group, grade in images)
    return {
        name: {grade: inside[name, grade] / count for grade, count in total.items()} for name in set(section.values())
    }


# ---------------------------------------------------------------- draw_split: whatever the input


@settings(max_examples=40)
@given(images=IMAGES, shares=SOME_SHARES, seed=st.integers())
def test_every_group_has_one_section_whatever_the_order(images, shares, seed):
    section = draw_split(*columns(images), shares, seed)
    assert section.keys() == {group for group, _ in images}
    assert set(section.values()) <= {"test", "validation", "training"}
    assert draw_split(*columns(images[::-1]), shares, seed) == section


@settings(max_examples=50)
@given(images=IMAGES, shares=st.fixed_dictionaries({"test": st.floats(0, 0.3), "validation": st.floats(0, 0.3)}))
def test_no_section_with_a_share_is_empty_but_for_want_of_patients(images, shares):
    section = draw_split(*columns(images), shares)
    asked_for = [name for name, share in shares.items() if share > 0]
    filled = set(section.values())
    assert ("training" in filled) == bool(images)
    assert filled - {"training"} <= set(asked_for)
    if len(section) > len(asked_for):
        assert filled == {"training", *asked_for}


@settings(max_examples=40)
@given(images=IMAGES, more=IMAGES, shares=SOME_SHARES, seed=st.integers(0, 3), other_seed=st.integers(0, 3))
def test_fixed_groups_stay(images, more, shares, seed, other_seed):
    before = draw_split(*columns(images), shares, seed)
    after = draw_split(*columns(images + more), shares, other_seed, fixed=before)
    assert {group: after[group] for group in before} == before
    assert after.keys() == {group for group, _ in images + more}


def test_nothing_to_draw_from():
    assert draw_split([], [], SHARES) == {}
    assert draw_split(["a"] * 5, [0, 1, 2, 0, 1], SHARES) == {"a": "training"}
    assert draw_split(["a", "b"], [0, 1], {"test": 0, "validation": 0}) == {"a": "training", "b": "training"}


def test_one_giant_group_goes_to_training():
    images = [("giant", n % 3) for n in range(300)] + [(f"{n}", n % 3) for n in range(30)]
    section = draw_split(*columns(images), SHARES)
    assert section["giant"] == "training"
    assert set(section.values()) == {"training", "validation", "test"}


def test_rare_grades_are_drawn_without_a_warning():
    for grades in (range(12), [0] * 9 + [1, 1, 2]):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            section = draw_split([str(n) for n in range(12)], grades, SHARES)
        assert set(section.values()) == {"training", "validation", "test"}


# ---------------------------------------------------------------- draw_split: realistic sizes


@pytest.mark.parametrize(
    ("images", "shares", "tolerance"),
    [
        ([(str(n), 0 if n < 779 else 1 + n % 2) for n in range(1369)], SHARES, 0.01),  # each alone, as in Papilledema
        (patients(600, [670, 234, 46, 38, 11], images_each=(4,)), SHARES, 0.03),
        (patients(700, [6705, 115, 1099, 142, 327, 514, 1113], images_each=(1, 1, 1, 2, 3)), SHARES, 0.04),
        (patients(120, [5, 3, 2], images_each=(1, 2, 8)), SHARES, 0.08),
        (patients(120, [5, 3, 2], images_each=(1, 2, 8)), {"validation": 0.1, "test": 0.3}, 0.08),
        (patients(120, [5, 3, 2], images_each=(1, 2, 8)), {"test": 0.2}, 0.08),
    ],
)
def test_shares_are_reached_in_every_grade(images, shares, tolerance):
    section = draw_split(*columns(images), shares)
    found = shares_of(images, section)
    for name, share in {**shares, "training": 1 - sum(shares.values())}.items():
        assert sum(section[group] == name for group, _ in images) / len(images) == pytest.approx(share, abs=0.01)
        n_images = Counter(grade for _, grade in images)
        for grade, value in found[name].items():
            assert value == pytest.approx(share, abs=max(tolerance, 2 / n_images[grade]))


@pytest.mark.parametrize("share", [0.004, 0.012, 0.04, 0.3, 0.77, 0.97])
def test_small_and_large_shares_are_met(share):
    section = draw_split([str(n) for n in range(1000)], [n % 2 for n in range(1000)], {"test": share})
    assert sum(name == "test" for name in section.values()) / 1000 == pytest.approx(
        share, abs=max(0.025 * share, 0.001)
    )


def test_two_large_shares_leave_something_for_training():
    section = draw_split([str(n) for n in range(400)], [0] * 400, {"test": 0.5, "validation": 0.49})
    assert Counter(section.values())["test"] == 200
    assert 0 < Counter(section.values())["training"] < 12


def test_the_seed_matters():
    groups, grades = columns(patients(30, [2, 1]))
    draws = [draw_split(groups, grades, SHARES, seed) for seed in range(4)]
    assert all(first != second for n, first in enumerate(draws) for second in draws[:n])


def test_a_seed_means_the_same_draw_for_ever():
    """Who publishes a seed publishes a split: it must not depend on the process, the machine, or our next release."""
    section = draw_split([f"p{n}" for n in range(40)], [n % 3 for n in range(40)], SHARES, seed=1)
    assert sorted(group for group, name in section.items() if name == "test") == [
        "p19",
        "p2",
        "p22",
        "p24",
        "p26",
        "p6",
    ]
    assert sorted(draw_labelled_groups([f"p{n}" for n in range(40)], [n % 3 for n in range(40)], 0.2, 1)) == [
        "p11",
        "p19",
        "p24",
        "p29",
        "p31",
        "p35",
        "p36",
        "p6",
    ]


# ---------------------------------------------------------------- draw_split: patients that join


def test_handfuls_that_join_keep_the_shares():
    """One by one or two by two, patients are drawn as if they had come at once."""
    section, images = {}, []
    for n in range(60):
        images += [(f"patient {n} {m}", (n + m) % 2) for m in range(1 + n % 2)]
        section = draw_split(*columns(images), SHARES, fixed=section)
    sizes = Counter(section.values())
    assert sizes["test"] == pytest.approx(0.15 * 90, abs=1)
    assert sizes["validation"] == pytest.approx(0.15 * 90, abs=1)


def test_what_is_published_counts_towards_the_shares():
    """The test set is published, a third of all: validation is a share of all images, not of those that are left."""
    images = [(str(n), n % 2) for n in range(300)]
    section = draw_split(*columns(images), {"validation": 0.2}, fixed={str(n): "test" for n in range(100)})
    assert Counter(section.values()) == {"test": 100, "validation": 60, "training": 140}


def test_training_keeps_half_beside_a_large_published_test_set():
    images = [(str(n), n % 2) for n in range(200)]
    section = draw_split(*columns(images), {"validation": 0.3}, fixed={str(n): "test" for n in range(160)})
    assert Counter(section.values()) == {"test": 160, "validation": 20, "training": 20}


def test_new_patients_are_shared_out_when_all_sections_lack_some():
    """All of the old ones are in training: half of the new ones join them nevertheless."""
    images = [(str(n), n % 2) for n in range(240)]
    section = draw_split(*columns(images), SHARES, fixed={str(n): "training" for n in range(200)})
    assert Counter(section.values()) == {"training": 220, "test": 10, "validation": 10}


def test_a_single_patient_that_joins_fills_the_section_that_lacks_most():
    fixed = {str(n): "training" for n in range(20)}
    images = [(name, 0) for name in (*fixed, "new")]
    assert draw_split(*columns(images), {"test": 0.2}, fixed=fixed)["new"] == "test"
    assert (
        draw_split(
            *columns(images), {"test": 0.2}, fixed={**fixed, "0": "test", "1": "test", "2": "test", "3": "test"}
        )["new"]
        == "training"
    )


# ---------------------------------------------------------------- draw_split: what cannot be


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"test": -0.1}, r"^test: -0\.1 is not a share in \[0, 1\)"),
        ({"test": 1}, r"^test: 1 is not a share"),
        ({"test": 15}, r"^test: 15 is not a share"),
        ({"validation": float("nan")}, r"^validation: nan is not a share"),
        ({"test": 0.5, "validation": 0.5}, r"^test \+ validation: 0\.5 \+ 0\.5 leave nothing for training"),
    ],
)
def test_impossible_shares(shares, message):
    with pytest.raises(InputError, match=message):
        draw_split(["a", "b"], [0, 1], shares)


# ---------------------------------------------------------------- draw_labelled_groups

BUDGET = st.floats(0.001, 1)


MASKED = st.sets(NAMES, max_size=6)


@given(images=IMAGES, one=BUDGET, other=BUDGET, seed=st.integers(), masked=MASKED)
def test_label_budgets_are_nested(images, one, other, seed, masked):
    masked &= {group for group, _ in images}
    smaller, larger = (draw_labelled_groups(*columns(images), share, seed, masked) for share in sorted((one, other)))
    assert smaller <= larger


@given(images=IMAGES, share=BUDGET, seed=st.integers(), masked=MASKED)
def test_label_budget_is_met_and_every_grade_is_there(images, share, seed, masked):
    groups = {group for group, _ in images}
    masked &= groups
    kept = draw_labelled_groups(*columns(images), share, seed, masked)
    worst = {group: max(grade for name, grade in images if name == group) for group in groups}
    assert kept <= groups
    assert {grade for group, grade in images if group in kept} == {grade for _, grade in images}
    assert not masked or masked & kept
    least = max(len(set(worst.values())), round(share * len(groups)))
    never_worst = {grade for _, grade in images} - set(worst.values())
    assert least <= len(kept) <= least + len(never_worst) + bool(masked)
    assert draw_labelled_groups(*columns(images[::-1]), share, seed, masked) == kept


def test_a_budget_keeps_a_grade_that_is_nobodys_worst():
    pairs = 60 * [(0, 0)] + 5 * [(1, 2)] + 35 * [(0, 2)]
    images = [(f"p{n}", grade) for n, grades in enumerate(pairs) for grade in grades]
    for seed in range(20):
        kept = draw_labelled_groups(*columns(images), 0.1, seed)
        assert {grade for group, grade in images if group in kept} == {0, 1, 2}
        assert len(kept) in (10, 11)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.25, 0.5, 0.9, 1.0])
def test_label_budget_is_stratified(share):
    images = patients(1000, [60, 25, 10, 5])
    kept = draw_labelled_groups(*columns(images), share)
    worst = {group: max(grade for name, grade in images if name == group) for group, _ in images}
    total, found = Counter(worst.values()), Counter(worst[group] for group in kept)
    for grade, count in total.items():
        assert found[grade] == pytest.approx(share * count, abs=1.5)


@given(old=st.sets(NAMES, min_size=1, max_size=12), new=st.sets(NAMES, max_size=12), share=BUDGET)
def test_patients_that_join_keep_the_order_of_the_old_ones(old, new, share):
    """Of the old patients of a grade, those stay labelled that would be with a smaller budget."""
    everyone = sorted(old | new)
    kept = draw_labelled_groups(everyone, [0] * len(everyone), share) & old
    assume(kept)
    assert kept == draw_labelled_groups(sorted(old), [0] * len(old), len(kept) / len(old))


def test_the_seed_matters_to_the_label_budget():
    groups, grades = [str(n) for n in range(50)], [n % 2 for n in range(50)]
    draws = [draw_labelled_groups(groups, grades, 0.2, seed) for seed in range(4)]
    assert all(first != second for n, first in enumerate(draws) for second in draws[:n])


@pytest.mark.parametrize("share", [0, -0.1, 1.01, 10, float("nan")])
def test_impossible_label_budget(share):
    with pytest.raises(InputError, match=r"^labelled: .* is not a share in \(0, 1\]"):
        draw_labelled_groups(["a"], [0], share)
