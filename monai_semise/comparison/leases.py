# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import time
from typing import NamedTuple

__all__ = ["Lease", "PairLeases"]


class Lease(NamedTuple):
    """A pair that a rater looks at.

    Example:
        >>> Lease("a.png", "b.png", ends=600.0).image_a
        'a.png'
    """

    image_a: str
    """Shown on the left."""
    image_b: str
    """Shown on the right."""
    ends: float
    """Of the monotonic clock, seconds."""


class PairLeases:
    """Which rater looks at which pair, so that no two look at the same one.

    Args:
        seconds: after which a pair that got no answer is free again.

    Example:
        >>> leases = PairLeases(seconds=600)
        >>> lease = leases.give("dr x", "a.png", "b.png")
        >>> leases.of("dr x") == lease, leases.taken_by_others("dr y")
        (True, {('a.png', 'b.png')})
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._leases: dict[str, Lease] = {}

    def give(self, rater: str, image_a: str, image_b: str) -> Lease:
        """Lease a pair, instead of the one that the rater had."""
        self._leases[rater] = Lease(image_a, image_b, time.monotonic() + self.seconds)
        return self._leases[rater]

    def of(self, rater: str) -> Lease | None:
        """What the rater has at present."""
        self._drop_ended()
        return self._leases.get(rater)

    def end(self, rater: str) -> None:
        """Free the rater's pair."""
        self._leases.pop(rater, None)

    def taken_by_others(self, rater: str) -> set[tuple[str, str]]:
        """Pairs of other raters, each in the order of its names."""
        self._drop_ended()
        return {(min(lease[:2]), max(lease[:2])) for name, lease in self._leases.items() if name != rater}

    def _drop_ended(self) -> None:
        now = time.monotonic()
        self._leases = {rater: lease for rater, lease in self._leases.items() if lease.ends > now}
