# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from typing import NamedTuple

from monai_semise.utils import InputError

__all__ = ["OUTCOMES", "Answer", "check_answer"]

OUTCOMES = ("left", "right", "equal", "cannot_tell")
"""What a rater can say: which image is worse, that neither is, or nothing."""
LONGEST_NAME = 100
"""Characters of an answer's id or a rater's name."""


class Answer(NamedTuple):
    """What a rater said of two images.

    Example:
        >>> Answer("7f3a", "a.png", "b.png", "left", rater="dr x", time="2026-01-31T09:00:00Z", seconds=2.5).outcome
        'left'
    """

    id: str
    """Made by the page, so that an answer sent twice is stored once."""
    image_a: str
    """The image that was shown on the left."""
    image_b: str
    """The image that was shown on the right."""
    outcome: str
    """Which image is worse, one of :data:`OUTCOMES`."""
    rater: str
    time: str
    """When it was stored, ISO 8601 in UTC."""
    seconds: float
    """How long the pair was looked at."""

    @property
    def pair(self) -> tuple[str, str]:
        """The two images, whichever side they were shown on."""
        return (self.image_a, self.image_b) if self.image_a < self.image_b else (self.image_b, self.image_a)

    @property
    def preference(self) -> float | None:
        """Probability that :attr:`image_a` is the worse one: 1, 0, or 0.5 for equal; None for cannot tell."""
        return {"left": 1.0, "right": 0.0, "equal": 0.5}.get(self.outcome)


def check_answer(answer: Answer) -> None:
    """Check what came from outside.

    Raises:
        InputError: naming the field, when it cannot be stored.

    Example:
        >>> check_answer(Answer("7f3a", "a.png", "b.png", "both", "dr x", "2026-01-31T09:00:00Z", 2.5))
        Traceback (most recent call last):
        monai_semise.utils.errors.InputError: outcome: 'both' is none of left, right, equal, cannot_tell
    """
    for field in ("id", "rater"):
        check_name(getattr(answer, field), field)
    if answer.outcome not in OUTCOMES:
        raise InputError(f"outcome: {answer.outcome!r} is none of {', '.join(OUTCOMES)}")
    if answer.image_a == answer.image_b:
        raise InputError(f"image_b: {answer.image_b!r} is compared with itself")
    if not 0 <= answer.seconds < math.inf:
        raise InputError(f"seconds: {answer.seconds!r} is not a number of at least 0")


def check_name(name: str, field: str) -> None:
    """Check that a rater's name or an id is one printable line that is not blank.

    Raises:
        InputError: naming the field, when it is not.
    """
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise InputError(f"{field}: {name[:LONGEST_NAME]!r} is not a line of 1 to {LONGEST_NAME} printable characters")
