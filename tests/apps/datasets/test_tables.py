# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.apps.datasets.tables import read_table, table_rows, whole_number
from monai_semise.utils import InputError


def read(tmp_path, content, columns=(), separator=","):
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, columns, separator)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a,b\n1,2\n", [(2, {"a": "1", "b": "2"})]),
        (" a , b\t\n x ,2 ", [(2, {"a": "x", "b": "2"})]),
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n", [(2, {"a": "1", "b": "2"})]),
        ("a,b,,\n1,2,,\n", [(2, {"a": "1", "b": "2"})]),
        ("a,b\n1,2,,,\n3\n", [(2, {"a": "1", "b": "2"}), (3, {"a": "3", "b": ""})]),
        ("\na,b\n\n1,2\n,,\n3,4\n", [(4, {"a": "1", "b": "2"}), (6, {"a": "3", "b": "4"})]),
        ('a,b\n"1,5","x\ny"\n3,4', [(3, {"a": "1,5", "b": "x\ny"}), (4, {"a": "3", "b": "4"})]),
        ("a,b\nNA,007\n", [(2, {"a": "NA", "b": "007"})]),
        ("Unnamed: 0,a.1,a\n1,2,3\n", [(2, {"Unnamed: 0": "1", "a.1": "2", "a": "3"})]),
    ],
)
def test_cells_and_lines(tmp_path, content, rows):
    assert list(table_rows(read(tmp_path, content))) == rows


def test_lines_stay_right_when_rows_are_taken_out(tmp_path):
    table = read(tmp_path, "a\n1\n2\n3\n")
    assert [line for line, _ in table_rows(table[table["a"] != "2"])] == [2, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no rows"),
        ("\n \n", "holds no rows"),
        ("a,b\n,\n", "holds no rows"),
        ("a,b\n1,2\n3,4,5\n", r"table\.csv, line 3: '5' stands beyond the last of 2 columns; quote a cell"),
        ("a,a\n1,2", "two columns are called 'a'"),
        ("a, a \n1,2", "two columns are called 'a'"),
        ('a,b\n1,2\n"3,4\n', r"cannot be read as a table after line 2 \(unexpected end of data\)"),
        ('a,b\n"1"x,2\n', "cannot be read as a table after line 1"),
        (b"\xff\xfea\x00", "cannot be read as a table .*utf-8"),
        ("a,b\n" + "x" * 200_000 + ",1\n", r"cannot be read as a table .*field larger"),
    ],
)
def test_unreadable_tables(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, content)


def test_missing_column_shows_what_is_there(tmp_path):
    with pytest.raises(InputError, match=r"no column 'grade'; found 'image', 'grades'; did you mean 'grades'\?$"):
        read(tmp_path, "image,grades,\n1,2,\n", ["image", "grade"])
    with pytest.raises(InputError, match=r"no column 'grade'; found none$"):
        read(tmp_path, "", ["grade"])


@pytest.mark.parametrize("separator", ["", "||", "((", "tab"])
def test_a_separator_is_one_character(tmp_path, separator):
    with pytest.raises(InputError, match=r"cannot be read as a table .*1-character"):
        read(tmp_path, "a|b\n1|2\n", separator=separator)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: no such file"):
        read_table(tmp_path / "nowhere.csv", ())
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_table(tmp_path, ())


@pytest.mark.parametrize(
    ("cell", "number"),
    [("0", 0), ("12", 12), ("3.0", 3), ("3.", 3), ("007", 7)]
    + [(cell, None) for cell in ("", "-1", "+1", "1.5", "1e3", "x", "٣", "1" * 10, "1 2", "1\n", "nan")],
)
def test_whole_number(cell, number):
    assert whole_number(cell) == number


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=6).map(str.strip)


@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3).filter(any), min_size=1, max_size=5))
def test_what_the_standard_library_writes_is_read_back(tmp_path, rows):
    stream = io.StringIO()
    csv.writer(stream).writerows([["a", "b", "c"], *rows])
    assert [list(row.values()) for _, row in table_rows(read(tmp_path, stream.getvalue()))] == rows


@given(content=st.text() | st.binary() | st.text("ab,\"'\n\r;\0 1", max_size=40))
def test_fuzz(tmp_path, content):
    try:
        rows = list(table_rows(read(tmp_path, content if isinstance(content, bytes) else content.encode())))
    except InputError as error:
        rows, message = [], str(error)
    else:
        message = "read"
    assert len(message.splitlines()) == 1
    for line, row in rows:
        assert line >= 2
        assert all(isinstance(cell, str) and cell == cell.strip() for cell in row.values())
