# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What a person sees. Apps may use every other part; no other part uses them."""

from __future__ import annotations

from monai_semise.apps.pretraining_report import PretrainingReport

__all__ = ["PretrainingReport"]
