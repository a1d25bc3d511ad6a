# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["RowTable", "digest"]


def digest(texts: Sequence[str]) -> int:
    """64 bits that stand for some texts in their order (BLAKE2b).

    Example:
        >>> digest(("a", "b")) == digest(("a", "b")), digest(("a", "b")) == digest(("ab", ""))
        (True, False)
    """
    content = "\0".join(texts).encode("utf-8", "surrogatepass")  # file names need not be text
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


class RowTable:
    """Which row holds what, and in which state it was kept, in 24 bytes a row: digests stand for the texts.

    Among a million rows, two share a digest by chance with a probability of 3e-8.

    Args:
        rows: number, name and state of each row, in any order; of several with the same name the last counts.

    Example:
        >>> table = RowTable([(0, ["a.png"], ["old"]), (1, ["b.png"], ["old"]), (2, ["a.png"], ["new"])])
        >>> names = np.array([digest(["b.png"]), digest(["a.png"]), digest(["c.png"])], dtype=np.uint64)
        >>> table.find(names)
        array([ 1,  2, -1])
        >>> table.find(names, states=np.full(3, digest(["new"]), dtype=np.uint64))
        array([-1,  2, -1])
    """

    def __init__(self, rows: Iterable[tuple[int, Sequence[str], Sequence[str]]]) -> None:
        numbers, names, states = array("q"), array("Q"), array("Q")
        for number, name, state in rows:
            numbers.append(number)
            names.append(digest(name))
            states.append(digest(state))
        every = np.array(names, dtype=np.uint64)
        self._names, from_the_end = np.unique(every[::-1], return_index=True)
        last = len(every) - 1 - from_the_end
        self._rows = np.array(numbers, dtype=np.int64)[last]
        self._states = np.array(states, dtype=np.uint64)[last]

    def find(self, names: np.ndarray, states: np.ndarray | None = None) -> np.ndarray:
        """Numbers of rows, -1 where there is none.

        Args:
            names: digests, shape (N,), uint64.
            states: digests of the states that are wanted; None takes any.

        Returns:
            shape (N,), int64.
        """
        if not len(self._names):
            return np.full(len(names), -1, dtype=np.int64)
        place = np.searchsorted(self._names, names).clip(max=len(self._names) - 1)
        found = self._names[place] == names
        if states is not None:
            found &= self._states[place] == states
        return np.where(found, self._rows[place], -1)
