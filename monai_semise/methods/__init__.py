# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The methods that SEMISE is compared with, a file each; ``bundles/methods/<name>.json`` makes pretraining use one."""

from __future__ import annotations
