# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from monai_semise.apps.compare.result_table import Cell, ResultTable, Row
from monai_semise.utils import write_whole

__all__ = ["latex_text", "markdown_text", "write_csv", "write_table"]

LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
MARKDOWN_ESCAPES = re.compile(r"([\\`*_{}\[\]<>|])")


def write_table(table: ResultTable, folder: Path, stem: str) -> None:
    """Write a table as CSV (a row for each method, label budget and measure), LaTeX and Markdown."""
    write_csv(table, folder / f"{stem}.csv")
    for suffix, text in (("tex", latex_text(table)), ("md", markdown_text(table))):
        with write_whole(folder / f"{stem}.{suffix}") as stream:
            stream.write(text)


def write_csv(table: ResultTable, path: Path, measures: Sequence[str] | None = None) -> None:
    """Write a row for each method, label budget and measure; those of ``measures``, or all."""
    with write_whole(path) as stream:
        writer = csv.writer(stream)
        writer.writerow(("labelled", "method", "measure", "mean", "low", "high", "runs", "mark", "p_value", "note"))
        for row in table.rows:
            if not row.cells:
                writer.writerow((f"{row.share:g}", row.method, "", "", "", "", 0, "", "", row.note))
            for name, cell in row.cells.items():
                if measures is not None and name not in measures:
                    continue
                numbers = ("" if value != value else f"{value:.6g}" for value in cell.interval[:3])
                p_value = "" if cell.p_value is None else f"{cell.p_value:.4g}"
                writer.writerow(
                    (f"{row.share:g}", row.method, name, *numbers, cell.interval.n_runs, cell.mark, p_value, row.note)
                )


def markdown_text(table: ResultTable) -> str:
    """A table in Markdown: the best bold, what is not separable from it in italics."""
    marks = {"best": "**{}**", "tied": "*{}*", "": "{}"}
    names = [f"{_markdown(column.name)} {'↑' if column.higher_is_better else '↓'}" for column in table.columns]
    lines = [
        f"**{_markdown(table.title)}**",
        "",
        _pipes(["labelled", "method", *names]),
        _pipes(["---"] * (2 + len(names))),
    ]
    lines += [_pipes(cells) for cells in _rows(table, _markdown, lambda cell: marks[cell.mark].format(cell.text()))]
    return "\n".join([*lines, "", f"{_markdown(table.foot)} Bold: best; italics: not separable from it.", ""])


def latex_text(table: ResultTable) -> str:
    """A table in LaTeX, for the package ``booktabs``: the best bold, what is not separable from it underlined."""
    marks = {"best": r"\textbf{{{}}}", "tied": r"\underline{{{}}}", "": "{}"}
    names = [
        f"{_latex(column.name)} $\\{'uparrow' if column.higher_is_better else 'downarrow'}$" for column in table.columns
    ]
    lines = [
        r"\begin{table}",
        f"\\caption{{{_latex(f'{table.title}. {table.foot}')} Bold: best; underlined: not separable from it.}}",
        rf"\begin{{tabular}}{{ll{'l' * len(names)}}}",
        r"\toprule",
        " & ".join(["labelled", "method", *names]) + r" \\",
        r"\midrule",
    ]
    lines += [
        " & ".join(cells) + r" \\"
        for cells in _rows(table, _latex, lambda cell: marks[cell.mark].format(_latex(cell.text())))
    ]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _rows(table: ResultTable, escape: Callable[[str], str], show: Callable[[Cell], str]) -> Iterator[list[str]]:
    for row in table.rows:
        cells = [show(row.cells[column.name]) if column.name in row.cells else "" for column in table.columns]
        if not row.cells:
            cells[0] = escape(row.note)
        yield [escape(f"{100 * row.share:g} %"), escape(_name(row)), *cells]


def _name(row: Row) -> str:
    return f"{row.method} ({row.note})" if row.cells and row.note else row.method


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(text: str) -> str:
    return MARKDOWN_ESCAPES.sub(r"\\\1", text)


def _latex(text: str) -> str:
    return "".join(LATEX_ESCAPES.get(character, character) for character in text)
