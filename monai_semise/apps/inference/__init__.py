# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Trained networks on new images: what goes in, and what a person gets."""

from __future__ import annotations

from monai_semise.apps.inference.inputs import find_inputs
from monai_semise.apps.inference.severity_report import SeverityReport, write_worklist

__all__ = ["SeverityReport", "find_inputs", "write_worklist"]
