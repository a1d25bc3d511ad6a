# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What a person sees. Apps may use every other part; no other part uses them."""

from __future__ import annotations

from monai_semise.apps import datasets, inference, pack
from monai_semise.apps.calibration import read_calibration
from monai_semise.apps.classification_report import ClassificationReport
from monai_semise.apps.pretraining_report import PretrainingReport
from monai_semise.apps.run_settings import read_run_settings
from monai_semise.apps.segmentation_report import SegmentationReport

__all__ = [
    "ClassificationReport",
    "PretrainingReport",
    "SegmentationReport",
    "datasets",
    "inference",
    "pack",
    "read_calibration",
    "read_run_settings",
]
