# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from monai_semise.apps.compare.options import ComparisonOptions
from monai_semise.apps.compare.plan import Plan
from monai_semise.apps.compare.result_table import ResultTable
from monai_semise.apps.compare.run_pictures import LeftOut, embedding_planes, heat_map_rows
from monai_semise.apps.compare.stage import Stage, state_of
from monai_semise.apps.compare.table_files import write_csv
from monai_semise.utils import write_whole
from monai_semise.visualize.embedding_panels import PrincipalPlane, draw_embedding_panels
from monai_semise.visualize.figure import save_figure
from monai_semise.visualize.interval_lines import IntervalLine, draw_interval_lines
from monai_semise.visualize.picture_grid import draw_picture_grid

__all__ = ["Figures", "draw_figures"]

EFFICIENCY = ("macro_f1", "maee", "quadratic_weighted_kappa", "c_index")
DPI = 110
COARSE_DPI = 75
MOST_AT_DPI = 12
"""Columns of heat maps that an SVG file holds at :data:`DPI`; more are coarser, to keep it below 5 MB."""


class Figures(NamedTuple):
    """What was drawn."""

    captions: dict[str, str]
    """Of each PNG file."""
    left_out: list[str]
    """What a figure does not show, and why, a line each."""


def draw_figures(
    plan: Plan,
    options: ComparisonOptions,
    classification: ResultTable,
    alpha: ResultTable | None,
    alpha_lines: Mapping[str, IntervalLine],
) -> Figures:
    """Write all figures as PNG and SVG, and the numbers of those that show any as CSV.

    A run that cannot be read is left out of its figure.

    Args:
        plan: what was done.
        options: of the comparison.
        classification: Table 1.
        alpha: the table of alphas of this data set.
        alpha_lines: curves of Fig. 3, of this data set and of those beside it.
    """
    out = options.out
    captions: dict[str, str] = {}
    left_out: list[str] = []
    name = plan.data_set
    if len(options.shares) > 1:
        figure = draw_interval_lines(
            _efficiency_lines(classification), "share of patients with labels", name, sorted(options.shares), log=True
        )
        captions |= _save(figure, out / "label_efficiency.png", "Label efficiency")
        write_csv(classification, out / "label_efficiency.csv", EFFICIENCY)
    if alpha is not None and any(row.cells for row in alpha.rows):
        ticks = sorted({x for line in alpha_lines.values() for x in line.x})
        title = "SEMISE with other alphas"
        figure = draw_interval_lines({"macro F1": alpha_lines}, "alpha, weight of the contrastive term", title, ticks)
        captions |= _save(figure, out / "fig3_alpha.png", "Fig. 3: alpha against macro F1")
        write_csv(alpha, out / "fig3_alpha.csv")
    share = max(options.shares)
    graded = _one_run_each(plan, "classification", share)
    planes, severity, unreadable = embedding_planes(graded)
    left_out += _notes("Embedding", graded, unreadable)
    if planes:
        title = f"Features of the frozen encoder, {len(severity)} test images, {_budget(share, graded, planes)}"
        figure = draw_embedding_panels(planes, severity, plan.grade_names, title)
        captions |= _save(figure, out / "embedding.png", "Embedding")
        _write_planes(planes, severity, out / "embedding.csv")
    segmented = _one_run_each(plan, "segmentation", share)
    rows, columns, unreadable = heat_map_rows(segmented)
    left_out += _notes("Heat maps", segmented, unreadable)
    if rows:
        title = f"Probability of a structure, with its true outline, {_budget(share, segmented, columns)}"
        figure = draw_picture_grid(rows, columns, title)
        svg_dpi = DPI if len(columns) <= MOST_AT_DPI else COARSE_DPI
        captions |= _save(figure, out / "fig2_heat_maps.png", "Fig. 2: heat maps of the segmentation", svg_dpi)
    return Figures(captions, left_out)


def _save(figure: Figure, path: Path, caption: str, svg_dpi: int = DPI) -> dict[str, str]:
    save_figure(figure, path, DPI)
    save_figure(figure, path.with_suffix(".svg"), svg_dpi)
    return {path.name: caption}


def _notes(figure: str, stages: Mapping[str, Stage], left_out: LeftOut) -> list[str]:
    notes = [f"{figure} without {stages[name].title} ({reason})" for name, reason in left_out.items()]
    for note in notes:
        logging.getLogger("monai_semise").warning(note)
    return notes


def _write_planes(planes: Mapping[str, PrincipalPlane], severity: Tensor, path: Path) -> None:
    """A row for each method and image, without its name."""
    with write_whole(path) as stream:
        writer = csv.writer(stream)
        writer.writerow(("method", "grade", "x", "y"))
        for name, plane in planes.items():
            for grade, (x, y) in zip(severity.tolist(), plane.points):
                writer.writerow((name, grade, f"{x:.6g}", f"{y:.6g}"))


def _budget(share: float, stages: Mapping[str, Stage], shown: Collection[str]) -> str:
    seeds = sorted({stage.seed for name, stage in stages.items() if name in shown})
    return f"{100 * share:g} % of labels, seed {' or '.join(map(str, seeds))}"


def _one_run_each(plan: Plan, kind: str, share: float) -> dict[str, Stage]:
    """The first finished run of each method."""
    names = [method.name for method in plan.methods]
    found: dict[str, Stage] = {}
    for stage in plan.stages:
        wanted = stage.kind == kind and stage.share == share and stage.method in names
        if wanted and stage.method not in found and state_of(stage) == "finished":
            found[stage.method] = stage
    return found


def _efficiency_lines(table: ResultTable) -> dict[str, dict[str, IntervalLine]]:
    panels: dict[str, dict[str, IntervalLine]] = {}
    for measure in EFFICIENCY:
        points: dict[str, list[tuple]] = {}
        for row in sorted(table.rows, key=lambda row: row.share):
            if measure in row.cells and row.cells[measure].interval.n_runs:
                points.setdefault(row.method, []).append((row.share, *row.cells[measure].interval[:3]))
        panels[measure.replace("_", " ")] = {name: IntervalLine(*zip(*own)) for name, own in points.items()}
    return panels
