# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from monai_semise.utils import InputError

__all__ = ["read_table", "table_rows", "whole_number"]


def read_table(path: Path, columns: Sequence[str], separator: str = ",") -> pd.DataFrame:
    """Read a CSV file as text: every cell a stripped string, empty where nothing stands.

    Headers are stripped too, and columns without a header are dropped, as are rows without content. A leading byte
    order mark does no harm. The index of the result is the line of each row in the file.

    Args:
        path: the file.
        columns: columns that it must have.
        separator: between cells, one character.

    Raises:
        InputError: when it cannot be read, holds no rows, lacks a column, or has content beyond its last column.
    """
    header, *rows = _read_rows(path, separator) or [(1, [])]
    names = header[1]
    for name in names:
        if name and names.count(name) > 1:
            raise InputError(f"{path}: two columns are called {name!r}; rename one")
    for column in columns:
        if column not in names:
            guess = difflib.get_close_matches(column, names, n=1, cutoff=0.6)
            hint = f"; did you mean {guess[0]!r}?" if guess else ""
            found = ", ".join(repr(name) for name in names if name) or "none"
            raise InputError(f"{path}: no column {column!r}; found {found}{hint}")
    if not rows:
        raise InputError(f"{path}: holds no rows")
    for line, cells in rows:
        beyond = [cell for cell in cells[len(names) :] if cell]
        if beyond:
            raise InputError(
                f"{path}, line {line}: {beyond[0]!r} stands beyond the last of {len(names)} columns; "
                "quote a cell that holds the separator"
            )
    filled = [(cells + [""] * len(names))[: len(names)] for _, cells in rows]
    table = pd.DataFrame(filled, index=[line for line, _ in rows], columns=pd.Index(names, dtype=str), dtype=str)
    return table.loc[:, [bool(name) for name in names]]


def table_rows(table: pd.DataFrame) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of :func:`read_table` as dictionaries, each with its line in the file (the header is 1)."""
    for line, row in zip(table.index, table.to_dict("records")):
        yield int(line), {str(column): cell for column, cell in row.items()}


def whole_number(cell: str) -> int | None:
    """The whole number, not negative, that a cell holds; None when it holds anything else.

    Example:
        >>> whole_number("3"), whole_number("3.0"), whole_number("-1"), whole_number("3.5"), whole_number("")
        (3, 3, None, None, None)
    """
    digits = re.fullmatch(r"([0-9]{1,9})(\.0*)?", cell)
    return int(digits[1]) if digits else None


def _read_rows(path: Path, separator: str) -> list[tuple[int, list[str]]]:
    """Lines that have content, each with its number and its stripped cells."""
    rows: list[tuple[int, list[str]]] = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=separator, strict=True)
            for cells in reader:
                rows.append((reader.line_num, [cell.strip() for cell in cells]))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give the folder that holds it as --root") from error
    except (OSError, ValueError, TypeError, csv.Error) as error:  # ValueError: not UTF-8; TypeError: the separator
        reason = " ".join(str(error).split())
        last = f" after line {rows[-1][0]}" if rows else ""
        raise InputError(f"{path}: cannot be read as a table{last} ({reason})") from error
    return [(line, cells) for line, cells in rows if any(cells)]
