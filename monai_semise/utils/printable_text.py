# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

__all__ = ["printable"]


def printable(value: object) -> str:
    """Text of a value that cannot break out of its line, or steer a terminal: what is not printable is escaped.

    File names may hold line ends, escape sequences and bytes that are no UTF-8.

    Example:
        >>> print(printable("Läsion 1\\n\\x1b[31m\\udcff.png"))
        Läsion 1\\n\\x1b[31m\\udcff.png
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(value))
