# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.utils import printable


@given(text=st.text(st.characters(exclude_categories=())))
def test_anything_becomes_one_line_that_can_be_printed(text):
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")
    assert shown == text or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 3 µm.png", "Größe 3 µm.png"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\u202egnp.exe", r"\u202egnp.exe"),  # would be read from right to left
        ("\u2028\x85", r"\u2028\x85"),  # line ends, too
        ("\udcff", r"\udcff"),
        (3, "3"),
    ],
)
def test_what_could_break_out_is_escaped(text, shown):
    assert printable(text) == shown
