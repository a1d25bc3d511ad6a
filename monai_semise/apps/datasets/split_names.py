# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

__all__ = ["split_from_name"]

NAMES = {
    "training": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def split_from_name(name: str) -> str | None:
    """The split that a folder or a table cell names in one of the usual ways; None when it names none.

    Example:
        >>> split_from_name("Valid"), split_from_name("testing"), split_from_name("normal")
        ('validation', 'test', None)
    """
    return next((split for split, usual in NAMES.items() if name.casefold() in usual), None)
