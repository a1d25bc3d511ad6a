# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from monai_semise.visualize.figure import figure_png
from monai_semise.visualize.overlays import COLOURS

__all__ = ["amounts_png"]

BINS = 30


def amounts_png(amounts: Mapping[str, np.ndarray], unit: str) -> bytes:
    """Histograms of how much of each structure N images show, one below the other; images without it are counted in
    the title.

    Args:
        amounts: by structure, shape (N,), at least 0.
        unit: what is counted.

    Returns:
        a PNG file.
    """
    figure = Figure(figsize=(6, 0.4 + 2.2 * len(amounts)), layout="constrained")
    rows = figure.subplots(len(amounts), 1, squeeze=False, sharex=True)[:, 0]
    largest = max(float(values.max(initial=0)) for values in amounts.values()) or 1.0
    for n, (axes, (structure, values)) in enumerate(zip(rows, amounts.items())):
        shown = values[values > 0]
        axes.hist(shown, bins=np.linspace(0, largest, BINS + 1).tolist(), color=COLOURS[n % len(COLOURS)])
        axes.set_title(f"{structure}: in {len(shown)} of {len(values)} images", fontsize=10)
        axes.set_ylabel("images")
        axes.yaxis.get_major_locator().set_params(integer=True)
    rows[-1].set_xlabel(unit)
    return figure_png(figure)
