# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.data.row_table import RowTable, digest

TEXTS = st.lists(st.sampled_from(["", "a", "b", "ab", "grün", os.fsdecode(b"\xff"), "\ud800"]), min_size=1, max_size=2)
ROWS = st.lists(st.tuples(st.integers(0, 2**40), TEXTS, TEXTS), max_size=12)


def digests(texts):
    return np.array([digest(text) for text in texts], dtype=np.uint64)


@given(ROWS, st.lists(st.tuples(TEXTS, TEXTS), max_size=12))
def test_finds_what_a_dictionary_finds(rows, wanted):
    kept = {tuple(name): (number, tuple(state)) for number, name, state in rows}
    table = RowTable(iter(rows))
    names, states = digests(name for name, _ in wanted), digests(state for _, state in wanted)
    assert table.find(names).tolist() == [kept.get(tuple(name), (-1,))[0] for name, _ in wanted]
    unchanged = [kept.get(tuple(name), (-1, None)) for name, _ in wanted]
    expected = [row if state == tuple(now) else -1 for (row, state), (_, now) in zip(unchanged, wanted, strict=True)]
    assert table.find(names, states).tolist() == expected


@pytest.mark.parametrize("rows", [[], [(3, ["a"], ["1"])]])
def test_no_names(rows):
    found = RowTable(rows).find(digests([]))
    assert found.dtype == np.int64
    assert found.shape == (0,)


def test_digests_do_not_depend_on_the_process():
    assert digest(["../images/7.png", ""]) == 6376401431605460738
