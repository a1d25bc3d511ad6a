# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Trained runs as MONAI bundle folders, to hand on or to load with ``monai.bundle.load``."""

from __future__ import annotations

from monai_semise.apps.pack.bundle_folder import pack_run
from monai_semise.apps.pack.exports import EXPORTS, export_network

__all__ = ["EXPORTS", "export_network", "pack_run"]
