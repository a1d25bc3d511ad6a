# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Take from the process what a user may lack: room on the disk, the rights of root."""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager

NOBODY = 65534


@contextmanager
def disk_of(n_bytes):
    """No file can grow beyond ``n_bytes`` meanwhile; a write then fails as on a full disk, but for its errno."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def ordinary_user():
    """Root may write anywhere; be someone else meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
