# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Answers of simulated raters."""

from __future__ import annotations

from monai_semise.comparison import Answer


def answer(number, image_a="a", image_b="b", outcome="left", rater="dr x"):
    return Answer(f"id-{number}", image_a, image_b, outcome, rater, "2026-01-31T09:00:00.000+00:00", 2.5)


def worse_of(pair, severity, flip=False):
    """Outcome of comparing two images of known severity."""
    a, b = (severity[image] for image in pair)
    return "equal" if a == b else "left" if (a > b) != flip else "right"
