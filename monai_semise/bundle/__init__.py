# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What makes a MONAI bundle run pleasant: misspelt settings are found, errors are readable."""

from __future__ import annotations

from monai_semise.bundle.check_settings import check_settings, text_truth_values, unknown_settings
from monai_semise.bundle.report_errors import report_semise_errors
from monai_semise.bundle.start_processes import start_processes

__all__ = ["check_settings", "report_semise_errors", "start_processes", "text_truth_values", "unknown_settings"]
