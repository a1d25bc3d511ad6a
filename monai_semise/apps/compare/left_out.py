# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from monai_semise.utils import find_semise_error, printable

__all__ = ["LONGEST", "reason_of"]

LONGEST = 300
"""Characters of a reason that are kept."""


def reason_of(error: BaseException) -> str:
    """Why something is left out, in one line: our own error, or the innermost of those that MONAI wraps.

    Example:
        >>> wrapped = RuntimeError("Failed to evaluate")
        >>> wrapped.__cause__ = KeyError("classes")
        >>> reason_of(wrapped)
        "KeyError: 'classes'"
    """
    known = find_semise_error(error)
    if known is not None:
        return printable(known)[:LONGEST]
    while error.__cause__ is not None:
        error = error.__cause__
    return printable(f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": "))[:LONGEST]
