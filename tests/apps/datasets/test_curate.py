# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.apps.datasets.curate import group_key, leave_out
from monai_semise.apps.datasets.examine import Examination
from monai_semise.data.collection import ProblemKind, Record

DUPLICATE, CONFLICT, SPLIT = ProblemKind.DUPLICATE, ProblemKind.CONFLICT, ProblemKind.SPLIT
NAME_CASE = ProblemKind.NAME_CASE


def record(name, severity=0, group=None, split=None, masks=None):
    return Record(Path(name), severity, group, split, masks)


def sort_out(*entries, earlier=None):
    """What is left, by name, and the problems, by name; entries are a record, or (record, what its pixels are).

    Pixels are those of no other image where they are not told.
    """
    entries = [entry if isinstance(entry, tuple) else (entry, f"pixels of {entry.image}") for entry in entries]
    earlier = {Path(name): section for name, section in (earlier or {}).items()}
    kept, problems = leave_out(*zip(*((one, Examination(pixels)) for one, pixels in entries)), earlier)
    return {str(one.image): one for one in kept}, {str(one.image): (one.kind, one.detail) for one in problems}


# ---------------------------------------------------------------- unusable files


def test_what_the_examination_found_is_passed_on():
    records = [record("a"), record("b")]
    found = [Examination("1"), Examination("2", ProblemKind.BLACK, "every pixel is 0")]
    kept, problems = leave_out(records, found)
    assert kept == records[:1]
    assert [(str(p.image), p.kind, p.detail) for p in problems] == [("b", ProblemKind.BLACK, "every pixel is 0")]
    assert leave_out([], []) == ([], [])


def test_an_unusable_file_is_nobodys_copy():
    found = [Examination("1", ProblemKind.MASK_SIZE, "too small"), Examination("1")]
    kept, problems = leave_out([record("a"), record("b")], found)
    assert [str(one.image) for one in kept] == ["b"]
    assert len(problems) == 1


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (record("z", split="test"), record("a", split="validation")),
        (record("z", split="validation"), record("a", split="training")),
        (record("z", split="training"), record("a")),
        (record("z", split="test", severity=None), record("a", split="training", severity=3)),
        (record("z", severity=1), record("a", severity=None, masks={"lesion": None})),
        (record("z", masks={"lesion": None}), record("a")),
        (record("a"), record("z")),
    ],
)
def test_which_copy_is_kept(better, worse):
    for pair in ([better, worse], [worse, better]):
        kept, problems = sort_out(*((one, "same") for one in pair))
        assert kept.keys() == {str(better.image)}
        assert problems[str(worse.image)][0] is DUPLICATE
        assert problems[str(worse.image)][1].startswith(f"is the same image as {better.image}")


def test_copies_across_splits_say_that_they_leak():
    kept, problems = sort_out(
        (record("a", split="training"), "same"), (record("b", split="test"), "same"), (record("c"), "same")
    )
    assert kept.keys() == {"b"}
    assert problems["a"] == (DUPLICATE, "is the same image as b, in test, where this one is in training")
    assert problems["c"] == (DUPLICATE, "is the same image as b")


def test_an_image_listed_twice():
    kept, problems = sort_out((record("a"), "same"), (record("a", severity=None), "same"))
    assert kept["a"].severity == 0
    assert problems == {"a": (DUPLICATE, "is listed twice")}


def test_copies_with_unlike_grades_all_go():
    kept, problems = sort_out(
        (record("a", 1), "same"), (record("b", 1), "same"), (record("c", 2), "same"), (record("d", None), "same"),
        record("e", 1),
    )  # fmt: skip
    assert kept.keys() == {"e"}
    assert problems == {
        "a": (CONFLICT, "severity 1; c holds the same image with severity 2"),
        "b": (CONFLICT, "severity 1; c holds the same image with severity 2"),
        "c": (CONFLICT, "severity 2; a holds the same image with severity 1"),
        "d": (CONFLICT, "ungraded; a holds the same image with severity 1"),
    }


def test_a_conflict_names_a_grade_even_where_an_ungraded_copy_comes_first():
    _, problems = sort_out(
        (record("a", None, split="test"), "same"), (record("b", 1), "same"), (record("c", 2), "same")
    )
    assert problems["b"] == (CONFLICT, "severity 1; c holds the same image with severity 2")
    assert problems["c"] == (CONFLICT, "severity 2; b holds the same image with severity 1")


@given(st.lists(st.sampled_from([None, 0, 1, 2]), min_size=2, max_size=8))
def test_a_conflict_names_the_first_copy_of_another_grade(severities):
    copies = sorted((record(str(n), one) for n, one in enumerate(severities)), key=lambda one: one.severity is None)
    _, problems = sort_out(*((one, "same") for one in copies))
    for one in copies:
        others = [other for other in copies if other.severity not in (one.severity, None)]
        if len(set(severities) - {None}) > 1:
            assert problems[str(one.image)][1].split("; ")[1].startswith(f"{others[0].image} holds")


def test_ungraded_copies_are_no_conflict():
    kept, problems = sort_out((record("a", None), "same"), (record("b", 2), "same"), (record("c", 2), "same"))
    assert kept.keys() == {"b"}
    assert {kind for kind, _ in problems.values()} == {DUPLICATE}


# ---------------------------------------------------------------- patients


def groups(kept):
    return {name: one.group for name, one in kept.items()}


def test_groups_that_share_an_image_are_one_patient():
    kept, _ = sort_out(
        (record("a1", group="p3"), "same"), record("a2", group="p3"),
        (record("b1", group="p2"), "same"), (record("b2", group="p2"), "also the same"),
        (record("c1", group="p1"), "also the same"), record("c2", group="p1"),
        record("d", group="p4"), record("e"),
    )  # fmt: skip
    assert groups(kept) == {"a1": "p1", "a2": "p1", "b2": "p1", "c2": "p1", "d": "p4", "e": None}


@given(st.permutations(range(9)))
def test_a_chain_of_groups_is_one_patient_in_whatever_order_it_is_met(order):
    links = [(record(f"{n} of {p:02d}", group=f"p{p:02d}"), f"{n}") for n in order for p in (n, n + 1)]
    kept, _ = sort_out(*links, record("alone", group="q"))
    assert groups(kept) == {**{f"{n} of {n:02d}": "p00" for n in order}, "alone": "q"}


def test_groups_are_merged_by_copies_that_conflict_too():
    kept, _ = sort_out(
        (record("a1", 0, "p1"), "same"),
        record("a2", group="p1"),
        (record("b1", 1, "p2"), "same"),
        record("b2", group="p2"),
    )
    assert groups(kept) == {"a2": "p1", "b2": "p1"}


def test_a_copy_without_a_patient_joins_the_patient():
    kept, _ = sort_out((record("a"), "same"), (record("b", group="p"), "same"), record("c", group="p"))
    assert groups(kept) == {"a": "p", "c": "p"}


@pytest.mark.parametrize("group", ["image b", "group p", "", "p/q"])
def test_a_group_of_any_name_is_not_mistaken_for_an_image(group):
    kept, _ = sort_out(record("a", group=group), record("b"), record("c", group=group))
    assert groups(kept) == {"a": group, "b": None, "c": group}
    assert len({group_key(one) for one in kept.values()}) == 2


def test_patient_in_two_published_splits():
    kept, problems = sort_out(
        record("a", group="p", split="training"), record("b", group="p", split="test"), record("c", group="p"),
        record("d", group="p", split="validation"), record("e", group="q", split="training"),
    )  # fmt: skip
    assert {name: one.split for name, one in kept.items()} == {"b": "test", "c": "test", "e": "training"}
    assert problems == {
        "a": (SPLIT, "in training; the patient is also in test"),
        "d": (SPLIT, "in validation; the patient is also in test"),
    }


def test_a_copy_shows_that_a_patient_is_in_two_published_splits():
    """Two patients share an image, so they are one; the training images of the one who is tested go."""
    kept, problems = sort_out(
        (record("a1", group="p", split="training"), "same"), record("a2", group="p", split="training"),
        (record("b1", group="q", split="test"), "same"), record("b2", group="q", split="test"),
    )  # fmt: skip
    assert kept.keys() == {"b1", "b2"}
    assert problems == {
        "a1": (DUPLICATE, "is the same image as b1, in test, where this one is in training"),
        "a2": (SPLIT, "in training; the patient is also in test"),
    }


# ---------------------------------------------------------------- file names


def test_names_that_differ_only_in_case():
    kept, problems = sort_out(record("x/a.png"), record("x/A.png"), record("X/a.png"), record("x/b.png"))
    assert kept.keys() == {"x/a.png", "x/b.png"}
    assert problems == {
        "x/A.png": (NAME_CASE, "is one file with x/a.png on Windows and macOS; rename one"),
        "X/a.png": (NAME_CASE, "is one file with x/a.png on Windows and macOS; rename one"),
    }


def test_names_that_differ_in_more_than_case():
    assert not sort_out(record("straße.png"), record("strasse.png"), record("a.png"), record("a.PNG.png"))[1]


# ---------------------------------------------------------------- an earlier datalist


def test_a_copy_never_takes_the_place_of_an_earlier_image():
    kept, problems = sort_out(
        (record("z", None, "p"), "same"), record("y", group="p"),
        (record("a", 1, "q", "test", {"lesion": None}), "same"), record("b", group="q"),
        earlier={"z": "training", "y": "training"},
    )  # fmt: skip
    assert {name: one.split for name, one in kept.items()} == dict.fromkeys("zyb", "training")
    assert problems == {"a": (DUPLICATE, "is the same image as z, in training, where this one is in test")}
    assert set(groups(kept).values()) == {"p"}


def test_an_image_of_another_case_never_takes_the_place_of_an_earlier_one():
    kept, problems = sort_out(record("A.png"), record("a.png"), earlier={"a.png": "test"})
    assert kept.keys() == {"a.png"}
    assert problems["A.png"][0] is NAME_CASE


def test_new_images_follow_their_patient():
    """Validation is not published, it was carved out of training: what joins such a patient goes there."""
    kept, problems = sort_out(
        record("old", group="p", split="training"), record("new", group="p", split="training"),
        record("free", group="p"), record("other", group="q", split="training"), record("tested", split="test"),
        earlier={"old": "validation"},
    )  # fmt: skip
    assert not problems
    splits = {name: one.split for name, one in kept.items()}
    assert splits == {**dict.fromkeys(("old", "new", "free"), "validation"), "other": "training", "tested": "test"}


def test_new_images_of_a_patient_in_another_published_split_go():
    kept, problems = sort_out(
        record("old", group="p"), record("new", group="p", split="test"), earlier={"old": "training"}
    )
    assert kept.keys() == {"old"}
    assert problems == {"new": (SPLIT, "in test; the patient is also in training")}


def test_two_earlier_patients_who_turn_out_to_be_one():
    """A new image shows it: nothing moves, the images in the lesser split go."""
    kept, problems = sort_out(
        record("a", group="p"), (record("b", group="p"), "same"),
        record("c", group="q"), (record("d", group="q"), "same"),
        earlier={"a": "training", "c": "test"},
    )  # fmt: skip
    assert {name: one.split for name, one in kept.items()} == {"b": "test", "c": "test"}
    assert problems["a"] == (SPLIT, "in training; the patient is also in test")
    assert problems["d"][0] is DUPLICATE


# ---------------------------------------------------------------- whatever comes

RECORDS = st.lists(
    st.tuples(
        st.builds(
            record,
            st.sampled_from([f"{folder}/{name}" for folder in "xX" for name in "abcdeABC"]),
            st.sampled_from([None, 0, 0, 1]),
            st.sampled_from([None, None, *"pqrst"]),
            st.sampled_from([None, "training", "validation", "test"]),
            st.sampled_from([None, {"lesion": None}]),
        ),
        st.integers(0, 12),
    ),
    max_size=12,
)
EARLIER = st.dictionaries(
    st.sampled_from("abcde").map("x/{}".format), st.sampled_from(["training", "test", "validation"])
)


@given(entries=RECORDS, earlier=EARLIER)
def test_every_image_is_kept_or_listed_and_what_is_kept_is_clean(entries, earlier):
    pixels = dict(reversed([(one.image, content) for one, content in entries]))  # a path holds one image
    entries = [(one, str(pixels[one.image])) for one, _ in entries]
    earlier = {Path(name): section for name, section in earlier.items()}
    kept, problems = leave_out([one for one, _ in entries], [Examination(content) for _, content in entries], earlier)

    listed = Counter([one.image for one in kept] + [one.image for one in problems])
    assert listed == Counter(one.image for one, _ in entries)
    assert len({pixels[one.image] for one in kept}) == len(kept)
    assert len({str(one.image).lower() for one in kept}) == len(kept)
    assert all(one.split == earlier.get(one.image, one.split) for one in kept)
    split_of = {}
    for one in kept:
        assert split_of.setdefault(group_key(one), one.split) == one.split
    originals = {one.image: one for one, _ in entries}
    for one in kept:
        before = originals[one.image]
        assert before.group is None or one.group is not None
        if sum(other.image == one.image for other, _ in entries) == 1:
            assert dataclasses.replace(one, group=None, split=None) == dataclasses.replace(
                before, group=None, split=None
            )

    again, none = leave_out(kept, [Examination(str(pixels[one.image])) for one in kept], earlier)
    assert (again, none) == (kept, [])
