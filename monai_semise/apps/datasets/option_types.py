# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from argparse import ArgumentTypeError

__all__ = ["names", "numbers"]


def names(text: str) -> tuple[str, ...]:
    """Value of a command line option that lists names.

    Raises:
        ArgumentTypeError: when one is empty or stands twice.

    Example:
        >>> names("normal, benign,malignant")
        ('normal', 'benign', 'malignant')
    """
    listed = tuple(name.strip() for name in text.split(","))
    folded = [name.casefold() for name in listed]
    for name in listed:
        if not name:
            raise ArgumentTypeError(f"an empty name in {text!r}; separate the names by single commas")
        if folded.count(name.casefold()) > 1:
            raise ArgumentTypeError(f"{name!r} stands twice in {text!r}")
    return listed


def numbers(text: str) -> tuple[int, ...]:
    """Value of a command line option that lists whole numbers, none of them negative.

    Raises:
        ArgumentTypeError: when one is anything else or stands twice.

    Example:
        >>> numbers("2,0,1")
        (2, 0, 1)
    """
    listed = names(text)
    if not all(number.isascii() and number.isdecimal() for number in listed):
        raise ArgumentTypeError(f"{text!r} does not list whole numbers, such as 2,0,1")
    return tuple(int(number) for number in listed)
