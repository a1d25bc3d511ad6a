# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from monai_semise.apps.datasets.option_types import names, numbers


def test_names_may_hold_blanks():
    assert names(" no DR,mild NPDR ") == ("no DR", "mild NPDR")


@pytest.mark.parametrize("text", ["", "a,", ",a", "a,,b", " "])
def test_an_empty_name(text):
    with pytest.raises(ArgumentTypeError, match="an empty name"):
        names(text)


@pytest.mark.parametrize("text", ["a,b,a", "Normal,normal"])
def test_a_name_twice(text):
    with pytest.raises(ArgumentTypeError, match="stands twice"):
        names(text)


@pytest.mark.parametrize("text", ["1.0", "-1", "a", "1,٣", "²"])
def test_what_is_no_number(text):
    with pytest.raises(ArgumentTypeError, match="does not list whole numbers"):
        numbers(text)
