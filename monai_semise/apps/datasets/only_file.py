# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

from monai_semise.utils import InputError

__all__ = ["find_only_file"]


def find_only_file(root: Path, suffix: str) -> Path:
    """``root`` if it is a file, else the one file in it that ends in ``suffix``.

    Raises:
        InputError: when the folder holds none, or several.
    """
    if root.is_file():
        return root
    found = sorted(
        path
        for path in root.iterdir()
        if path.name.lower().endswith(suffix) and not path.name.startswith(".") and path.is_file()
    )
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:8]) or "none"
        raise InputError(f"{root}: expected one {suffix} file, found {names}; give the file itself as --root")
    return found[0]
