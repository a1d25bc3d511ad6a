# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import importlib.util

# The modules of the MONAI Label app import it, and it has an environment of its own.
SERVED = ("datastore", "infer_tasks", "labelled_items", "main", "server", "strategies", "study_archive", "train_task")
collect_ignore = (
    [] if importlib.util.find_spec("monailabel") else [f"monai_semise/apps/label/{name}.py" for name in SERVED]
)
