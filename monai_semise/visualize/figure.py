# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import io
import os
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from monai_semise.utils import write_whole

__all__ = ["figure_png", "save_figure"]


def save_figure(figure: Figure, path: str | os.PathLike, dpi: int = 110) -> None:
    """Save a figure as PNG or SVG, as its name ends, whole or not at all, without a display."""
    with write_whole(path, "wb") as stream:
        FigureCanvasAgg(figure).print_figure(stream, format=Path(path).suffix.lstrip("."), dpi=dpi)


def figure_png(figure: Figure, dpi: int = 100) -> bytes:
    """A figure as the content of a PNG file."""
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(stream, format="png", dpi=dpi)
    return stream.getvalue()
