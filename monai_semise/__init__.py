# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""SEMISE for MONAI: encoders whose embedding knows how severe a disease is.

Importing this package imports all of its parts, so that MONAI bundle configs find them by short name.
"""

from __future__ import annotations

__version__ = "0.1.0"

from monai_semise import (
    apps,
    bundle,
    comparison,
    data,
    dicom,
    engines,
    handlers,
    losses,
    metrics,
    networks,
    severity,
    transforms,
    utils,
    visualize,
)

__all__ = [
    "apps",
    "bundle",
    "comparison",
    "data",
    "dicom",
    "engines",
    "handlers",
    "losses",
    "metrics",
    "networks",
    "severity",
    "transforms",
    "utils",
    "visualize",
]
