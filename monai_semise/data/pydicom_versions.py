# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What pydicom 3 calls otherwise than pydicom 2.4, which MONAI Label needs."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["FILE_FORMAT", "HAS_PIXELS", "handlers", "pixels"]


def _module(name: str) -> Any:
    """None where this pydicom has no such module."""
    try:
        return importlib.import_module(f"pydicom.{name}")
    except ImportError:
        return None


pixels: Any = _module("pixels")
"""Decoding and lookup tables of pydicom 3."""
HAS_PIXELS = pixels is not None
"""Whether this is pydicom 3."""
handlers: Any = None if HAS_PIXELS else _module("pixel_data_handlers.util")
"""Decoding and lookup tables of pydicom 2."""
FILE_FORMAT: dict[str, Any] = {"enforce_file_format": True} if HAS_PIXELS else {"write_like_original": False}
"""Argument of ``dcmwrite`` and ``save_as`` for a file with everything that the standard asks for."""
