# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from PIL import Image

__all__ = ["draw_picture_grid"]

SIDE = 1.7
"""Of a picture, in inches."""


def draw_picture_grid(rows: Sequence[Sequence[bytes]], columns: Sequence[str], title: str) -> Figure:
    """Pictures in a grid: a row for each image, a column for each way to look at it.

    Args:
        rows: PNG files, as many in a row as there are columns.
        columns: what to write above each column.
        title: of the figure.
    """
    figure = Figure(figsize=(max(5, SIDE * len(columns)), 0.8 + SIDE * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for n, row in enumerate(rows):
        for axes, picture, name in zip(grid[n], row, columns):
            with Image.open(io.BytesIO(picture)) as image:
                axes.imshow(image.convert("RGB"))
            axes.set_axis_off()
            if n == 0:
                axes.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure
