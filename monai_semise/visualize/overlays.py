# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from monai_semise.visualize.figure import save_figure

__all__ = ["Overlay", "plot_overlays"]

COLUMNS = 3
WIDTH = 3.6
"""Of a picture, in inches."""
BLUE, YELLOW = "deepskyblue", "yellow"
COLOURS = ("deepskyblue", "yellow", "magenta", "lime", "orange", "red")


class Overlay(NamedTuple):
    """An image with its true and predicted masks, on the CPU."""

    image: Tensor
    """Values in [0, 1], shape (C, *spatial)."""
    truth: Tensor
    """0 and 1, shape (S, *size): the image is stretched to the size of its masks."""
    predicted: Tensor
    """Same shape."""
    caption: str


def plot_overlays(overlays: Sequence[Overlay], structures: Sequence[str], path: str | os.PathLike, title: str) -> None:
    """Draw images with the outlines of their masks: a solid line around the true one, a dashed one as predicted.

    Of a volume, the slice along the last axis that holds most of its masks.

    Args:
        overlays: the images.
        structures: name of each of the S structures.
        path: PNG file to write.
        title: what the images are.
    """
    shown = [_most_telling_slice(overlay) for overlay in overlays]
    lines = -(-len(shown) // COLUMNS)
    tallest = max(overlay.truth.shape[2] / overlay.truth.shape[1] for overlay in shown)
    figure = Figure(figsize=(WIDTH * COLUMNS, (WIDTH * tallest + 0.35) * lines + 0.8), layout="constrained")
    styles = _line_styles(structures)
    for n, overlay in enumerate(shown):
        axes = figure.add_subplot(lines, COLUMNS, n + 1)
        picture = overlay.image.movedim(0, -1).transpose(0, 1).numpy()  # MONAI's first axis runs to the right
        picture = picture if picture.shape[-1] == 3 else picture[..., 0]
        width, height = overlay.truth.shape[1:]
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        axes.imshow(picture, "gray", vmin=0, vmax=1, extent=extent, interpolation="bilinear")
        for style, mask in zip(styles, torch.stack([overlay.truth, overlay.predicted], dim=1).flatten(0, 1)):
            if mask.any() and not mask.all():
                axes.contour(mask.T.numpy(), [0.5], colors=[style["color"]], linestyles=style["linestyle"])
        axes.set_title(overlay.caption, fontsize=9)
        axes.set_axis_off()
    figure.suptitle(title, fontsize=11)
    keys = [Line2D([], [], **style) for style in styles]
    figure.legend(handles=keys, loc="outside lower center", ncols=min(6, len(keys)), fontsize=9, frameon=False)
    save_figure(figure, path)


def _line_styles(structures: Sequence[str]) -> list[dict[str, Any]]:
    """Of the true and the predicted outline of each structure: two colours for one, a colour each for several."""
    pairs = (
        [(BLUE, YELLOW)] if len(structures) == 1 else [(COLOURS[n % len(COLOURS)],) * 2 for n in range(len(structures))]
    )
    return [
        {"label": f"{structure}, {which}", "color": colour, "linestyle": line}
        for structure, pair in zip(structures, pairs)
        for which, colour, line in zip(("true", "predicted"), pair, ("solid", "dashed"))
    ]


def _most_telling_slice(overlay: Overlay) -> Overlay:
    if overlay.image.ndim == 3:
        return overlay
    shown = (overlay.truth + overlay.predicted).sum(dim=(0, 1, 2))
    place = int(shown.argmax()) if shown.any() else len(shown) // 2
    place_in_image = (2 * place + 1) * overlay.image.shape[-1] // (2 * len(shown))
    truth, predicted = (masks[..., place] for masks in (overlay.truth, overlay.predicted))
    return Overlay(overlay.image[..., place_in_image], truth, predicted, overlay.caption)
