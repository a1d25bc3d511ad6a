# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from PIL import Image

from monai_semise.apps.compare.figures import COARSE_DPI, DPI, _efficiency_lines, _save, _write_planes
from monai_semise.apps.compare.result_table import Cell, Column, ResultTable, Row
from monai_semise.apps.compare.seed_interval import SeedInterval
from monai_semise.utils import InputError
from monai_semise.visualize.embedding_panels import draw_embedding_panels, principal_plane
from monai_semise.visualize.figure import figure_png
from monai_semise.visualize.interval_lines import IntervalLine, draw_interval_lines
from monai_semise.visualize.picture_grid import draw_picture_grid


def row(share, method, mean, note=""):
    cells = {"macro_f1": Cell(SeedInterval(mean, mean - 0.1, mean + 0.2, 3))}
    return Row(share, method, {} if note else cells, note)


def test_lines_of_a_table():
    rows = [row(1.0, "a", 0.7), row(1.0, "b", 0, "not run"), row(0.1, "a", 0.4), row(0.1, "b", 0.3)]
    table = ResultTable("", [Column("macro_f1", True)], rows, "")
    lines = _efficiency_lines(table)["macro f1"]
    assert lines["a"].x == (0.1, 1.0)
    assert (lines["a"].y, lines["b"].y) == ((0.4, 0.7), (0.3,))
    assert lines["a"].high == pytest.approx((0.6, 0.9))


def test_intervals_reach_from_low_to_high():
    panels = {"f1": {"a": IntervalLine([0.1, 1.0], [0.4, 0.7], [0.3, 0.5], [0.5, 0.9])}}
    figure = draw_interval_lines(panels, "share", "data", [0.1, 1.0], log=True)
    axes = figure.axes[0]
    bars = next(c for c in axes.get_children() if isinstance(c, LineCollection))
    assert np.array([part[:, 1] for part in bars.get_segments()]) == pytest.approx(np.array([[0.3, 0.5], [0.5, 0.9]]))
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.1", "1"]
    assert figure_png(figure).startswith(b"\x89PNG")


def test_embeddings_are_told_apart_by_the_plane_of_most_variance():
    direction = torch.zeros(20, 6)
    direction[:10, 0], direction[10:, 1] = 1, 1
    vectors = direction + 0.01 * torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    severity = torch.tensor([0] * 10 + [2] * 10)
    planes = {"m": principal_plane(vectors), "n": principal_plane(5 * vectors)}
    figure = draw_embedding_panels(planes, severity, ["a", "b", "c"], "title")
    first, second = (axes.collections for axes in figure.axes[:2])
    assert [c.get_label() for c in first] == ["a", "c"]
    near, far = (c.get_offsets()[:, 0] for c in first)
    assert max(near) < min(far) or max(far) < min(near)
    assert np.allclose(first[0].get_offsets(), second[0].get_offsets(), atol=1e-4)  # length does not count


def test_embedding_as_csv(tmp_path):
    vectors = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    planes = {"m": principal_plane(vectors), "n": principal_plane(vectors[[1, 0, 2]])}
    _write_planes(planes, torch.tensor([0, 2, 1]), tmp_path / "embedding.csv")
    lines = (tmp_path / "embedding.csv").read_text().splitlines()
    assert lines[0] == "method,grade,x,y"
    assert [line.split(",")[:2] for line in lines[1:]] == [[name, grade] for name in "mn" for grade in "021"]
    written = np.array([line.split(",")[2:] for line in lines[1:4]], dtype=float)
    assert written == pytest.approx(planes["m"].points, abs=1e-5)


def test_one_image_spans_no_plane():
    with pytest.raises(InputError, match="one image spans no plane"):
        principal_plane(torch.ones(1, 8))


def test_pictures_stand_in_their_row_and_column(tmp_path):
    rows = []
    for n in range(2):
        row = []
        for k in range(3):
            Image.new("RGB", (4, 4), (100 * n, 80 * k, 0)).save(tmp_path / "p.png")
            row.append((tmp_path / "p.png").read_bytes())
        rows.append(row)
    figure = draw_picture_grid(rows, ["image", "a", "b"], "title")
    shown = [axes.get_images()[0].get_array()[0, 0].tolist() for axes in figure.axes]
    assert shown == [[100 * n, 80 * k, 0] for n in range(2) for k in range(3)]
    assert [axes.get_title() for axes in figure.axes] == ["image", "a", "b", "", "", ""]


def test_many_pictures_are_coarser_in_svg(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (224, 224, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "p.png")
    figure = draw_picture_grid([[(tmp_path / "p.png").read_bytes()] * 3], ["image", "a", "b"], "title")
    sizes = []
    for dpi in (DPI, COARSE_DPI):
        _save(figure, tmp_path / "grid.png", "", dpi)
        sizes.append((tmp_path / "grid.svg").stat().st_size)
    assert 0 < sizes[1] < 0.6 * sizes[0]
