# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of a run."""

from __future__ import annotations

from monai_semise.visualize.amounts import amounts_png
from monai_semise.visualize.confusion import plot_confusion
from monai_semise.visualize.curves import plot_curves
from monai_semise.visualize.embedding import plot_embedding
from monai_semise.visualize.heat_map import OUTLINES, overlay_png, severity_heat_maps
from monai_semise.visualize.overlays import Overlay, plot_overlays
from monai_semise.visualize.severity_plots import distribution_png, reliability_png

__all__ = [
    "OUTLINES",
    "Overlay",
    "amounts_png",
    "distribution_png",
    "overlay_png",
    "plot_confusion",
    "plot_curves",
    "plot_embedding",
    "plot_overlays",
    "reliability_png",
    "severity_heat_maps",
]
