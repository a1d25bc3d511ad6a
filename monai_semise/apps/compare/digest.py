# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["short_digest"]


def short_digest(content: Any) -> str:
    """What stands for content that JSON can hold, whatever the order of its keys, as one short text.

    Example:
        >>> short_digest({"a": 1, "b": [2]}) == short_digest({"b": [2], "a": 1})
        True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
