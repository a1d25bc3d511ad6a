# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""From a distance to a statement: calibrated positions on the grade scale and conformal intervals."""

from __future__ import annotations

from monai_semise.severity.calibrator import CalibratedSeverity, SeverityCalibrator

__all__ = ["CalibratedSeverity", "SeverityCalibrator"]
