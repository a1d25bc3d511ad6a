# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.apps.inference import Worklist
from monai_semise.utils import printable

COLUMNS = ["image", "severity", "score", "position", "grade"]
ROWS = st.lists(
    st.tuples(
        st.text(max_size=6).map(printable),
        st.sampled_from(["", "0", "2"]),
        st.sampled_from(["0.5", "0.25", "1.75", "0.000001"]),
        st.sampled_from(["", "0.1", "3.2"]),
        st.sampled_from(["", "1"]),
    ),
    max_size=8,
)


def table(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return path


@given(ROWS)
def test_equals_pandas(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("worklist")
    path = table(folder / "severity.csv", rows)
    expected = pd.DataFrame(rows, columns=COLUMNS, dtype=str)
    texts = expected["score"]
    expected["score"] = texts.astype(float)
    expected = expected.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    expected.insert(0, "rank", np.arange(1, len(expected) + 1))
    worklist = Worklist(path)
    assert len(worklist) == len(rows)
    pd.testing.assert_frame_equal(worklist.head(100), expected, check_dtype=False)
    pd.testing.assert_frame_equal(worklist.head(2), expected.head(2), check_dtype=False)
    graded = expected[(expected["severity"] != "") & (expected["grade"] != "")].reset_index(drop=True)
    pd.testing.assert_frame_equal(worklist.graded(), graded, check_dtype=False)
    worklist.write(folder / "worklist.csv")
    written = pd.read_csv(folder / "worklist.csv", dtype=str, keep_default_na=False)
    assert set(written["score"]) <= set(texts)  # as it stood
    written = written.astype({"rank": int, "score": float})
    pd.testing.assert_frame_equal(written, expected, check_dtype=False)


@pytest.mark.parametrize(("position", "shown"), [("", "score"), ("2.5", "position")])
def test_positions(tmp_path, position, shown):
    rows = [("a", "", "0.5", "", ""), ("b", "", "1.5", position, "")]
    worklist = Worklist(table(tmp_path / "severity.csv", rows))
    assert worklist.position == shown
    np.testing.assert_array_equal(worklist.positions, [1.5, 0.5] if shown == "score" else [2.5, np.nan])


def test_memory_is_a_few_numbers_an_image(tmp_path):
    rows = [(f"folder/of/some/length/image_{n:06d}.png", "", f"{n % 997}", f"{n % 5}", "") for n in range(20_000)]
    path = table(tmp_path / "severity.csv", rows)
    tracemalloc.start()
    Worklist(path).write(tmp_path / "worklist.csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150 * len(rows)
