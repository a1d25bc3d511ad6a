# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import threading
import time

import pytest

from monai_semise.comparison import AnswerStore, ComparisonSession, read_answers
from monai_semise.data import read_pairs
from monai_semise.utils import InputError
from tests.comparison.data import worse_of

SEVERITY = {name: n for n, name in enumerate("abcdef")}


@pytest.fixture
def make_session(tmp_path):
    """Sessions on one store, one after the other: ``make_session(repeat_rate=0.5)``."""
    opened = []

    def make(images=SEVERITY, **settings):
        for session in opened:
            session.close()
        opened.clear()
        files = {name: str(tmp_path / f"{name}.png") for name in images}
        settings = {"repeat_rate": 0, "overlap_rate": 0, **settings}
        opened.append(ComparisonSession(AnswerStore(tmp_path / "answers.jsonl"), files, **settings))
        return opened[0]

    yield make
    for session in opened:
        session.close()


def compare(session, rater="x", outcome=None):
    """Answer the next pair rightly, or as told."""
    pair = session.next_pair(rater)
    session.answer(
        f"{rater}-{time.monotonic_ns()}", *pair, outcome=outcome or worse_of(pair, SEVERITY), rater=rater, seconds=1.0
    )
    return pair


def test_every_pair_is_asked_once_and_then_none(make_session):
    session = make_session()
    pairs = {frozenset(compare(session)) for _ in range(15)}
    assert len(pairs) == 15
    assert session.next_pair("x") is None
    assert [entry["image"] for entry in session.ranking()] == list("fedcba")
    assert session.progress("x") == {"answered": 15, "answered_by_all": 15, "expected": 16, "images": 6, "left_out": 0}
    assert session.progress("y")["answered"] == 0


def test_a_reload_and_a_restart_lose_nothing(make_session):
    session = make_session()
    asked = compare(session)
    assert session.next_pair("x") == session.next_pair("x")
    session = make_session()
    assert session.progress("x")["answered"] == 1
    assert frozenset(session.next_pair("x")) != frozenset(asked)


def test_raters_do_not_get_the_same_pair_at_once(make_session):
    session = make_session()
    pairs = {frozenset(session.next_pair(f"rater {n}")) for n in range(15)}
    assert len(pairs) == 15
    assert session.next_pair("one too many") is None


def test_a_pair_that_nobody_answers_is_free_after_its_time(make_session):
    session = make_session("ab", lease_seconds=0.2)
    assert session.next_pair("x") is not None
    assert session.next_pair("y") is None
    time.sleep(0.25)
    assert session.next_pair("y") is not None


def test_overlap_gives_the_pairs_of_others(make_session):
    session = make_session(overlap_rate=1.0)
    done = {frozenset(compare(session, "x")) for _ in range(5)}
    assert {frozenset(compare(session, "y")) for _ in range(5)} == done
    assert session.agreement()["between"][0]["pairs"] == 5
    assert session.agreement()["between"][0]["same"][0] == 1.0


def test_a_rater_who_has_done_all_new_pairs_gets_those_of_others(make_session):
    session = make_session("abc")
    for _ in range(3):
        compare(session, "x")
    assert session.next_pair("y") is not None


def test_repetition_comes_after_ten_answers_and_once(make_session):
    session = make_session(repeat_rate=1.0)
    pairs = [frozenset(compare(session)) for _ in range(14)]
    assert len(set(pairs[:10])) == 10
    for n in range(10, 14):  # the 11th answer is the first that comes ten after another
        assert pairs.count(pairs[n]) <= 2
    assert session.agreement()["oneself"][0]["pairs"] == 14 - len(set(pairs)) >= 3


def test_undo_gives_the_pair_again(make_session, tmp_path):
    session = make_session()
    first, last = compare(session), compare(session, outcome="cannot_tell")
    assert session.undo("undo-1", "x")[1:3] == last
    assert session.undo("undo-1", "x")[1:3] == last  # sent again
    assert session.next_pair("x") == last
    assert session.progress("x")["answered"] == 1
    assert session.undo("undo-2", "y") is None
    assert session.undo("undo-3", "x")[1:3] == first
    assert session.undo("undo-4", "x") is None
    assert read_answers(tmp_path / "answers.jsonl") == []
    assert [entry["score"] for entry in session.ranking()] == pytest.approx([0] * 6)


def test_the_order_follows_an_answer_that_was_changed(make_session):
    session = make_session("ab")
    pair = compare(session, outcome="left")
    assert session.ranking()[0]["image"] == pair[0]
    session.undo("undo", "x")
    session.answer("again", *pair, outcome="right", rater="x", seconds=1.0)
    assert session.ranking()[0]["image"] == pair[1]


@pytest.mark.parametrize("image", ["../a", "A", "", "/etc/passwd", "%61", "a.png"])
def test_an_image_that_is_not_compared(make_session, image):
    session = make_session()
    with pytest.raises(InputError, match="is none of the images that are compared"):
        session.answer("1", "a", image, outcome="left", rater="x", seconds=1.0)


def test_of_too_many_images_some_are_drawn_and_stay(make_session):
    names = [f"image {n}" for n in range(2010)]
    before = make_session(names[:2])
    answered = set(compare(before, outcome="left"))
    session = make_session(names)
    chosen = set(session.images)
    assert len(chosen) == 2000
    assert answered < chosen
    assert session.progress("x")["left_out"] == 10
    assert chosen != set(names[:2000])
    more = {name: f"{name}.png" for name in [*names, "one more", "and another"]}
    session.set_images(more)
    assert len(chosen - set(session.images)) <= 2
    session.set_images({name: more[name] for name in names[:2000]})
    assert session.progress("x")["left_out"] == 0


def test_a_pair_in_two_windows_is_stored_once_and_frees_no_other(make_session):
    session = make_session()
    first = session.next_pair("x")
    given = {"outcome": "left", "rater": "x", "seconds": 1.0}
    session.answer("1", *first, **given)
    second = session.next_pair("x")
    with pytest.raises(InputError, match="you have answered it already"):
        session.answer("2", *first, **given)
    session.answer("1", *first, **given)  # sent again
    assert session.progress("x")["answered"] == 1
    assert session.next_pair("x") == second
    assert set(session.next_pair("y")) != set(second)
    session.undo("3", "x")
    assert session.answer("4", *first, **given).id == "4"


def test_images_that_went_away_are_not_used_but_their_answers_stay(make_session, tmp_path):
    session = make_session()
    for _ in range(15):
        compare(session)
    session.set_images({name: f"{name}.png" for name in "abcxyz"})
    assert session.progress("x")["answered"] == 3
    assert session.ranking()[0]["image"] == "c"
    assert len(read_answers(tmp_path / "answers.jsonl")) == 15
    assert set(session.next_pair("x")) - set("abc")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": "a"}, "1 images; give 2 or more"),
        ({"images": ["a", "\udcff"]}, "is not UTF-8"),
        ({"repeat_rate": 1.5}, "repeat_rate: 1.5 is not a share"),
        ({"overlap_rate": -0.1}, "overlap_rate: -0.1 is not a share"),
    ],
)
def test_settings_that_cannot_be_used(make_session, settings, message):
    with pytest.raises(InputError, match=message):
        make_session(**settings)


def test_a_rater_without_a_name(make_session):
    with pytest.raises(InputError, match="rater: ' '"):
        make_session().next_pair(" ")


def test_several_raters_at_once(make_session):
    session = make_session()
    pairs = []

    def work(rater):
        for _ in range(3):
            pairs.append(frozenset(compare(session, rater)))

    threads = [threading.Thread(target=work, args=(f"rater {n}",)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pairs) == len(set(pairs)) == session.progress("x")["answered_by_all"] == 15


def test_export_is_what_training_reads(make_session, tmp_path):
    session = make_session()
    pairs = [compare(session, "=x, “y”", outcome) for outcome in ("left", "right", "equal", "cannot_tell")]
    assert session.export(tmp_path / "pairs.csv") == 4
    rows = list(csv.DictReader((tmp_path / "pairs.csv").open(encoding="utf-8")))
    assert [(row["image_a"], row["image_b"]) for row in rows] == [(f"{a}.png", f"{b}.png") for a, b in pairs]
    assert [row["winner"] for row in rows] == ["a", "b", "equal", "skip"]
    assert {row["rater"] for row in rows} == {"=x, “y”"}
    assert all(row["time"].endswith("+00:00") and float(row["seconds"]) == 1.0 for row in rows)
    items = [{"image": str(tmp_path / f"{name}.png"), "index": n} for name, n in SEVERITY.items()]
    expected = [(SEVERITY[a], SEVERITY[b], preference, 1.0) for (a, b), preference in zip(pairs, (1.0, 0.0, 0.5))]
    assert read_pairs(tmp_path / "pairs.csv", items) == expected
