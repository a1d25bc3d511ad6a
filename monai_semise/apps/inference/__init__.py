# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Trained networks on new images: what goes in, and what a person gets."""

from __future__ import annotations

from monai_semise.apps.inference.inputs import find_inputs
from monai_semise.apps.inference.mask_folder import MaskFolder
from monai_semise.apps.inference.mask_report import MaskReport
from monai_semise.apps.inference.severity_report import SeverityReport, write_worklist
from monai_semise.apps.inference.traced_dataset import TracedDataset

__all__ = ["MaskFolder", "MaskReport", "SeverityReport", "TracedDataset", "find_inputs", "write_worklist"]
