# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.data import PreferencePair, draw_preference_pairs, draw_validation_pairs, read_pairs, write_pairs
from monai_semise.utils import InputError


def graded(severity):
    return [{"index": n, "severity": grade} for n, grade in enumerate(severity)]


# ---------------------------------------------------------------- drawing

# grade 3 is twenty times rarer than grade 1
IMBALANCED = [0] * 50 + [1] * 100 + [2] * 30 + [3] * 5 + [-1] * 20


def test_same_seed_same_pairs():
    first = draw_preference_pairs(graded(IMBALANCED), 200, seed=3)
    assert draw_preference_pairs(graded(IMBALANCED), 200, seed=3) == first
    assert draw_preference_pairs(graded(IMBALANCED), 200, seed=4) != first


def test_a_longer_draw_begins_with_the_shorter():
    long = draw_preference_pairs(graded(IMBALANCED), 100)
    assert long[:30] == draw_preference_pairs(graded(IMBALANCED), 30)


@pytest.mark.parametrize("n_pairs", [0, 1, 57])
@pytest.mark.parametrize("ties", ["skip", "half", "zero"])
def test_number_and_preference(n_pairs, ties):
    pairs = draw_preference_pairs(graded(IMBALANCED), n_pairs, ties=ties)
    assert len(pairs) == n_pairs
    for a, b, preference, weight in pairs:
        assert a != b
        assert min(IMBALANCED[a], IMBALANCED[b]) >= 1
        tie = {"half": 0.5, "zero": 0.0}.get(ties)
        expected = tie if IMBALANCED[a] == IMBALANCED[b] else float(IMBALANCED[a] > IMBALANCED[b])
        assert preference == expected
        assert weight == 1


@pytest.mark.parametrize(("ties", "some"), [("skip", False), ("half", True), ("zero", True)])
def test_ties(ties, some):
    pairs = draw_preference_pairs(graded(IMBALANCED), 200, ties=ties)
    assert any(IMBALANCED[pair.a] == IMBALANCED[pair.b] for pair in pairs) is some


@pytest.mark.parametrize("ties", ["skip", "half"])
def test_grades_are_uniform_and_so_are_images_of_a_grade(ties):
    pairs = draw_preference_pairs(graded(IMBALANCED), 6000, ties=ties)
    members = [index for pair in pairs for index in (pair.a, pair.b)]
    share = {grade: n / len(members) for grade, n in Counter(IMBALANCED[index] for index in members).items()}
    assert set(share) == {1, 2, 3}
    # 5 standard deviations of a share of 1/3; a pair with itself is drawn anew, which costs the rare grade 1/60
    assert all(abs(value - 1 / 3) < 0.025 for value in share.values())
    of_grade_3 = Counter(index for index in members if IMBALANCED[index] == 3)
    assert len(of_grade_3) == 5
    assert max(of_grade_3.values()) < 1.25 * min(of_grade_3.values())


def test_both_orders_are_drawn():
    share = sum(pair.preference for pair in draw_preference_pairs(graded(IMBALANCED), 2000)) / 2000
    assert abs(share - 0.5) < 0.06


def test_include_healthy():
    pairs = draw_preference_pairs(graded(IMBALANCED), 500, include_healthy=True)
    grades = {IMBALANCED[index] for pair in pairs for index in (pair.a, pair.b)}
    assert grades == {0, 1, 2, 3}


def test_index_is_taken_from_the_item():
    items = [{"index": 70, "severity": 1}, {"index": 30, "severity": 2}]
    assert {(pair.a, pair.b, pair.preference) for pair in draw_preference_pairs(items, 20)} == {
        (70, 30, 0.0),
        (30, 70, 1.0),
    }


@pytest.mark.parametrize("ties", ["skip", "half", "zero"])
def test_one_image_a_grade_terminates(ties):
    pairs = draw_preference_pairs(graded([0, 1, 2]), 50, ties=ties)
    assert {frozenset(pair[:2]) for pair in pairs} == {frozenset((1, 2))}


@pytest.mark.parametrize(
    ("severity", "include_healthy", "message"),
    [
        ([0, 2, 2], False, "anomalous images have severity 2 only, .*; set include_healthy to compare with healthy"),
        ([0, 0, -1], False, "anomalous images have no grade"),
        ([], True, "graded images have no grade"),
        ([0, 0, -1], True, "graded images have severity 0 only, .*; add images of another grade"),
    ],
)
@pytest.mark.parametrize("ties", ["skip", "half"])
def test_one_grade_is_an_error(severity, include_healthy, message, ties):
    with pytest.raises(InputError, match=f"cannot draw pairs: the {message}"):
        draw_preference_pairs(graded(severity), 5, ties=ties, include_healthy=include_healthy)


@pytest.mark.parametrize("include_healthy", [False, True])
def test_validation_pairs_are_those_of_training(include_healthy):
    items = graded(IMBALANCED)
    pairs = draw_validation_pairs(items, 50, 3, include_healthy)
    assert pairs == draw_preference_pairs(items, 50, 3, include_healthy=include_healthy)


@pytest.mark.parametrize("severity", [[0, 1, 1], [0, 2, -1]])
def test_one_anomalous_grade_is_validated_against_healthy_images(severity):
    with pytest.warns(UserWarning, match="validation: fewer than two anomalous grades"):
        pairs = draw_validation_pairs(graded(severity), 20)
    assert len(pairs) == 20
    assert all({severity[pair.a], severity[pair.b]} == {0, max(severity)} for pair in pairs)


@pytest.mark.filterwarnings("ignore:validation")
@pytest.mark.parametrize("severity", [[], [0, 0], [2, 2, -1]])
def test_one_validation_grade_is_an_error(severity):
    with pytest.raises(InputError, match="validation: cannot draw pairs: the graded images have"):
        draw_validation_pairs(graded(severity), 20)


def test_unknown_ties():
    with pytest.raises(ValueError, match="hlaf"):
        draw_preference_pairs(graded([1, 2]), 1, ties="hlaf")


# ---------------------------------------------------------------- reading and writing


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    """Items with the index 10, 11, ... whose images a.png, ... need not exist."""
    folder = tmp_path_factory.mktemp("pairs")
    return [{"image": str(folder / f"lesion_{name}.png"), "index": 10 + n} for n, name in enumerate("ABCD")]


@pytest.fixture
def read(items):
    """Read ``content`` as a file of pairs in the folder of the images."""
    file = Path(items[0]["image"]).with_name("pairs.csv")

    def read(content, header="image_a,image_b,winner\n"):
        file.write_bytes(content if isinstance(content, bytes) else (header + content).encode("utf-8"))
        return read_pairs(file, items)

    return read


A, B, C = (f"lesion_{name}.png" for name in "ABC")


@pytest.mark.parametrize(
    ("winner", "preference"),
    [
        ("a", 1.0),
        ("A", 1.0),
        (" a ", 1.0),
        ("b", 0.0),
        ("B", 0.0),
        ("equal", 0.5),
        ("Equal", 0.5),
        ("EQUAL", 0.5),
        (A, 1.0),
        (B, 0.0),
        (f" {B} ", 0.0),
    ],
)
def test_winner(read, winner, preference):
    assert read(f"{A},{B},{winner}\n") == [PreferencePair(10, 11, preference, 1.0)]


@pytest.mark.parametrize("skip", ["skip", "Skip", " SKIP "])
def test_skipped_rows_are_left_out(read, skip):
    assert read(f"{A},{B},{skip}\n{A},{C},b\n{A},not an image,{skip}\n") == [PreferencePair(10, 12, 0.0)]


def test_order_of_the_file_and_repeated_comparisons_are_kept(read):
    assert [pair[:3] for pair in read(f"{C},{B},a\n{A},{B},b\n{C},{B},b\n")] == [(12, 11, 1), (10, 11, 0), (12, 11, 0)]


@pytest.mark.parametrize(
    ("header", "row", "weight"),
    [
        ("image_a,image_b,winner,rater,weight", f"{A},{B},a,dr x,2.5", 2.5),
        ("image_a,image_b,winner,rater,weight", f"{A},{B},a,dr x,", 1.0),
        ("image_a,image_b,winner,rater,weight", f"{A},{B},a", 1.0),
        ("image_a,image_b,winner,rater", f"{A},{B},a,", 1.0),
        ("image_a,image_b,winner,weight", f"{A},{B},a,0", 0.0),
        ("weight,winner,comment,image_b,image_a", f' 1e-1 ,a,"so, so",{B},{A}', 0.1),
    ],
)
def test_optional_columns_and_any_order(read, header, row, weight):
    assert read(f"{row}\n", header=f"{header}\n") == [PreferencePair(10, 11, 1.0, weight)]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_as_spreadsheets_write_it(read, mark, newline):
    text = newline.join(["image_a,image_b,winner", f'"{A}",{B},a', "", f"{A},{C},b"])
    assert [pair[:3] for pair in read(mark + text.encode())] == [(10, 11, 1.0), (10, 12, 0.0)]


def test_path_forms(read, items):
    assert read(f"./x/../{A},{items[1]['image']},a\n") == [PreferencePair(10, 11, 1.0)]


def test_round_trip(items, tmp_path, read):
    pairs = [PreferencePair(10, 11, 1.0), PreferencePair(12, 13, 0.5, 0.25), PreferencePair(13, 10, 0.0, 3.0)]
    write_pairs(tmp_path / "far.csv", pairs, items, rater="dr, x")
    assert read_pairs(tmp_path / "far.csv", items) == pairs
    near = tmp_path / "near"
    near.mkdir()
    moved = [{**item, "image": str(near / item["image"].rsplit("/", 1)[1])} for item in items]
    write_pairs(near / "pairs.csv", pairs, moved)
    assert (near / "pairs.csv").read_text().splitlines()[1] == f"{A},{B},a,,1.0"
    assert read_pairs(near / "pairs.csv", moved) == pairs


# ---------------------------------------------------------------- errors: each names the row and the column


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            f"{A},{B},a\nlesion_X.png,{B},a\n",
            r"row 3, image_a: 'lesion_X\.png' is not an image .*; did you mean lesion_",
        ),
        (f"{A},leison_B.png,a\n", r"row 2, image_b: 'leison_B\.png' is not an image .*; did you mean lesion_B\.png\?"),
        (f"{A},zzz,a\n", r"row 2, image_b: 'zzz' is not an image of the datalist$"),
        (f",{B},a\n", r"row 2, image_a: '' is not an image"),
        (f"{A},b\0,a\n", r"row 2, image_b: 'b\\x00' is not an image"),
        (f"{A},{'n' * 5000},a\n", r"row 2, image_b: 'n+' is not an image"),
        (f"{A},{A},a\n", r"row 2: 'lesion_A\.png' is compared with itself"),
        (f"{A},./{A},a\n", r"row 2: 'lesion_A\.png' is compared with itself"),
        (f"{A},{B},a\n{A},{C},c\n", r"row 3, winner: 'c' is none of a, b, equal, skip or one of the two images"),
        (f"{A},{B},{C}\n", r"row 2, winner: 'lesion_C\.png' is none of"),
        (f"{A},{B},\n", r"row 2, winner: '' is none of"),
        (f"{A},{B},a\n\n{A},{B}\n", r"row 4: fewer values than the header has columns"),
        (f"{A}\n", r"row 2: fewer values"),
        ("", r"no comparison in it; it needs at least one row with a winner"),
        (f"{A},{B},skip\n", r"no comparison in it"),
        (f'{A},{B},"a\n', r"cannot be read as CSV"),
        (f'{A},"b"x,a\n', r"cannot be read as CSV"),
    ],
)
def test_row_errors(read, content, message):
    with pytest.raises(InputError, match=rf"pairs\.csv.*{message}"):
        read(content)


@pytest.mark.parametrize("weight", ["-1", "nan", "inf", "heavy", "1,5"])
def test_bad_weight(read, weight):
    with pytest.raises(InputError, match=rf"pairs\.csv, row 2, weight: '{weight}' is not a number of at least 0"):
        read(f'{A},{B},a,"{weight}"\n', header="image_a,image_b,winner,weight\n")


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("", "image_a, image_b, winner"),
        ("\n", "image_a, image_b, winner"),
        ("image_a,image_b\n", "winner"),
        ("image_a;image_b;winner\n", "image_a, image_b, winner"),
        ("Image_a,image_b,winner\n", "image_a"),
        (f"{A},{B},a\n", "image_a, image_b, winner"),
    ],
)
def test_missing_columns(read, header, missing):
    with pytest.raises(InputError, match=rf"no column {missing}; the header must be image_a,image_b,winner\[,rater"):
        read("", header=header)


def test_not_utf_8(read):
    with pytest.raises(InputError, match=r"pairs\.csv: cannot be read as CSV .*utf-8"):
        read("image_a,image_b,winner\nläsion.png,b,a\n".encode("latin-1"))


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: cannot be read as CSV .*No such file"):
        read_pairs(tmp_path / "none.csv", [])


# ---------------------------------------------------------------- fuzz: pairs or an InputError, nothing else

CELL = st.sampled_from(
    [A, B, C, "a", "b", "equal", "skip", "A", " a", "1", "-2", "nan", "", '"', '"x"', "\0"]
) | st.text(max_size=5)
COLUMN = st.sampled_from(["image_a", "image_b", "winner", "rater", "weight", ""])
HEADER = st.just(["image_a", "image_b", "winner", "weight"]) | st.lists(COLUMN, max_size=6)
ROW = st.tuples(
    st.sampled_from([A, B, C]), st.sampled_from([A, B, C]), st.sampled_from(["a", "b", "equal", "skip"]), CELL
).map(list) | st.lists(CELL, max_size=6)
TABLE = st.builds(
    lambda header, rows, newline: newline.join(",".join(row) for row in [header, *rows]),
    HEADER,
    st.lists(ROW, max_size=4),
    st.sampled_from(["\n", "\r\n", "\r"]),
)


@given(content=(TABLE | st.text()).map(lambda text: text.encode("utf-8")) | st.binary())
def test_fuzz(read, content):
    try:
        pairs = read(content)
    except InputError:
        return
    assert pairs
    for pair in pairs:
        assert {pair.a, pair.b} < {10, 11, 12, 13}
        assert pair.a != pair.b
        assert pair.preference in (0.0, 0.5, 1.0)
        assert 0 <= pair.weight < float("inf")
