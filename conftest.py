# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import importlib.util
import os

# The modules of the MONAI Label app import it, and it has an environment of its own.
SERVED = ("datastore", "infer_tasks", "labelled_items", "main", "server", "strategies", "study_archive", "train_task")
collect_ignore = (
    [] if importlib.util.find_spec("monailabel") else [f"monai_semise/apps/label/{name}.py" for name in SERVED]
)

# The processes of pytest-xdist share the processors, and so do those that they start.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    n_threads = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ.setdefault("OMP_NUM_THREADS", str(n_threads))
