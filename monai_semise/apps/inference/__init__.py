# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Trained networks on new images: what goes in, and what a person gets."""

from __future__ import annotations

from monai_semise.apps.inference.inputs import find_inputs
from monai_semise.apps.inference.mask_folder import MaskFolder
from monai_semise.apps.inference.mask_report import MaskReport
from monai_semise.apps.inference.severity_report import SeverityReport
from monai_semise.apps.inference.traced_dataset import TracedDataset
from monai_semise.apps.inference.worklist import Worklist

__all__ = ["MaskFolder", "MaskReport", "SeverityReport", "TracedDataset", "Worklist", "find_inputs"]
