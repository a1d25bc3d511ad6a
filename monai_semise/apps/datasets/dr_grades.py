# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

__all__ = ["DR_GRADES"]

DR_GRADES = ("no DR", "mild NPDR", "moderate NPDR", "severe NPDR", "proliferative DR")
"""International clinical scale of diabetic retinopathy (Wilkinson et al. 2003), which the data sets write as 0 to 4."""
