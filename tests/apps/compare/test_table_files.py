# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv

import pytest

from monai_semise.apps.compare.result_table import Cell, Column, ResultTable, Row
from monai_semise.apps.compare.seed_interval import SeedInterval
from monai_semise.apps.compare.table_files import write_table

NAN = float("nan")


@pytest.fixture
def table():
    columns = [Column("macro_f1", True), Column("maee", False)]
    rows = [
        Row(
            0.25,
            "a_b",
            {
                "macro_f1": Cell(SeedInterval(0.5, 0.4, 0.6, 3), "best"),
                "maee": Cell(SeedInterval(1.5, NAN, NAN, 1), "tied", p_value=0.2),
            },
            "1 of 3 runs; failed: out|of *memory*",
        ),
        Row(0.25, "c", {"macro_f1": Cell(SeedInterval(NAN, NAN, NAN, 0))}),
        Row(1.0, "d", {}, "failed: 100% & $x_1$\\~^{}"),
    ]
    return ResultTable("Table #1", columns, rows, "Of 5 % <b>.")


def test_csv(table, tmp_path):
    write_table(table, tmp_path, "table1")
    rows = list(csv.DictReader((tmp_path / "table1.csv").open(newline="")))
    assert [(row["labelled"], row["method"], row["measure"], row["mean"]) for row in rows] == [
        ("0.25", "a_b", "macro_f1", "0.5"),
        ("0.25", "a_b", "maee", "1.5"),
        ("0.25", "c", "macro_f1", ""),
        ("1", "d", "", ""),
    ]
    assert (rows[0]["low"], rows[0]["high"], rows[0]["mark"], rows[1]["p_value"]) == ("0.4", "0.6", "best", "0.2")
    assert rows[3]["note"] == "failed: 100% & $x_1$\\~^{}"


def test_markdown(table, tmp_path):
    write_table(table, tmp_path, "table1")
    lines = (tmp_path / "table1.md").read_text().splitlines()
    assert lines[2] == r"| labelled | method | macro\_f1 ↑ | maee ↓ |"
    assert lines[4] == (r"| 25 % | a\_b (1 of 3 runs; failed: out\|of \*memory\*) | **0.500 ± 0.100** | *1.500* |")
    assert lines[5] == "| 25 % | c | - |  |"
    assert lines[6] == r"| 100 % | d | failed: 100% & $x\_1$\\~^\{\} |  |"


def test_latex(table, tmp_path):
    write_table(table, tmp_path, "table1")
    text = (tmp_path / "table1.tex").read_text()
    assert r"\caption{Table \#1. Of 5 \% <b>. Bold: best; underlined: not separable from it.}" in text
    assert (
        r"25 \% & a\_b (1 of 3 runs; failed: out|of *memory*) & \textbf{0.500 $\pm$ 0.100} & \underline{1.500} \\"
        in text
    )
    assert r"failed: 100\% \& \$x\_1\$\textbackslash{}\textasciitilde{}\textasciicircum{}\{\} &  \\" in text
    assert all(line.count("&") - line.count(r"\&") == 3 for line in text.splitlines() if line.endswith(r"\\"))
