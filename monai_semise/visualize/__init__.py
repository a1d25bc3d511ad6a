# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of a run."""

from __future__ import annotations

from monai_semise.visualize.curves import plot_curves
from monai_semise.visualize.embedding import plot_embedding

__all__ = ["plot_curves", "plot_embedding"]
