# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from monai_semise.apps.compare.options import ComparisonOptions
from monai_semise.apps.compare.plan import Plan
from monai_semise.apps.compare.result_table import ResultTable
from monai_semise.apps.compare.run_pictures import heat_map_rows, test_embeddings
from monai_semise.apps.compare.stage import Stage, state_of
from monai_semise.apps.compare.table_files import write_csv
from monai_semise.visualize.embedding_panels import draw_embedding_panels
from monai_semise.visualize.figure import save_figure
from monai_semise.visualize.interval_lines import IntervalLine, draw_interval_lines
from monai_semise.visualize.picture_grid import draw_picture_grid

__all__ = ["Pictures", "draw_figures"]

EFFICIENCY = ("macro_f1", "maee", "quadratic_weighted_kappa", "c_index")
DPI = 110
Pictures = dict[str, str]
"""Caption of each PNG file."""


def draw_figures(
    plan: Plan,
    options: ComparisonOptions,
    classification: ResultTable,
    alpha: ResultTable | None,
    alpha_lines: Mapping[str, IntervalLine],
) -> Pictures:
    """Write all figures as PNG and SVG (heat maps as PNG alone), and the numbers of those that show any as CSV.

    Args:
        plan: what was done.
        options: of the comparison.
        classification: Table 1.
        alpha: the table of alphas of this data set.
        alpha_lines: curves of Fig. 3, of this data set and of those beside it.
    """
    out = options.out
    pictures: Pictures = {}
    name = plan.data_set
    if len(options.shares) > 1:
        figure = draw_interval_lines(
            _efficiency_lines(classification), "share of patients with labels", name, sorted(options.shares), log=True
        )
        pictures |= _save(figure, out / "label_efficiency.png", "Label efficiency")
        write_csv(classification, out / "label_efficiency.csv", EFFICIENCY)
    if alpha is not None and any(row.cells for row in alpha.rows):
        ticks = sorted({x for line in alpha_lines.values() for x in line.x})
        title = "SEMISE with other alphas"
        figure = draw_interval_lines({"macro F1": alpha_lines}, "alpha, weight of the contrastive term", title, ticks)
        pictures |= _save(figure, out / "fig3_alpha.png", "Fig. 3: alpha against macro F1")
        write_csv(alpha, out / "fig3_alpha.csv")
    share = max(options.shares)
    graded = _one_run_each(plan, "classification", share)
    if graded:
        embeddings, severity = test_embeddings(graded)
        title = f"Features of the frozen encoder, {len(severity)} test images, {_budget(share, graded)}"
        figure = draw_embedding_panels(embeddings, severity, plan.grade_names, title)
        pictures |= _save(figure, out / "embedding.png", "Embedding")
    segmented = _one_run_each(plan, "segmentation", share)
    if segmented:
        rows, columns = heat_map_rows(segmented)
        title = f"Probability of a structure, with its true outline, {_budget(share, segmented)}"
        save_figure(draw_picture_grid(rows, columns, title), out / "fig2_heat_maps.png", DPI)
        pictures["fig2_heat_maps.png"] = "Fig. 2: heat maps of the segmentation"
    return pictures


def _save(figure: Figure, path: Path, caption: str) -> Pictures:
    for suffix in (".png", ".svg"):
        save_figure(figure, path.with_suffix(suffix), DPI)
    return {path.name: caption}


def _budget(share: float, stages: Mapping[str, Stage]) -> str:
    seeds = sorted({stage.seed for stage in stages.values()})
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
