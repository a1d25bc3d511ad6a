# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Methods side by side: runs of all of them under one budget, and the tables and figures about them."""

from __future__ import annotations

from monai_semise.apps.compare.comparison import compare_methods, plan_lines
from monai_semise.apps.compare.options import ComparisonOptions

__all__ = ["ComparisonOptions", "compare_methods", "plan_lines"]
