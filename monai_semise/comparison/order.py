# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from monai_semise.comparison.answer import Answer
from monai_semise.comparison.bradley_terry import fit_bradley_terry
from monai_semise.comparison.export import preference_pairs
from monai_semise.comparison.informative_pair import informative_pair

__all__ = ["ImageOrder"]

IMAGES_A_FIT = 200
"""So many images more let one more answer pass between two fits, whose time grows with the cube of their number."""


class ImageOrder:
    """The order of images as their comparisons have it, kept up to date.

    Args:
        images: their ids.

    Example:
        >>> order = ImageOrder(["a", "b"])
        >>> order.learn([Answer("1", "b", "a", "left", "dr x", "2026-01-31T09:00:00Z", 2.5)])
        >>> [entry["image"] for entry in order.ranking()]
        ['b', 'a']
    """

    def __init__(self, images: Sequence[str]) -> None:
        self.images = images
        self._number = {image: n for n, image in enumerate(images)}
        self._answers: list[Answer] = []
        self._news = 0
        self._posterior = fit_bradley_terry(len(images), [])

    def learn(self, answers: Sequence[Answer]) -> None:
        """Take all answers there are, instead of earlier ones."""
        self._answers = list(answers)
        self._news += 1

    def ranking(self) -> list[dict[str, Any]]:
        """The images from most to least severe: ``image``, ``score`` and its standard deviation ``deviation``."""
        self._fit()
        rows = zip(self.images, self._posterior.mean.tolist(), self._posterior.deviation.tolist())
        ranked = sorted(rows, key=lambda row: -row[1])
        return [{"image": image, "score": score, "deviation": deviation} for image, score, deviation in ranked]

    def informative_pair(
        self, excluded: Iterable[tuple[str, str]], random: np.random.Generator
    ) -> tuple[str, str] | None:
        """See :func:`monai_semise.comparison.informative_pair`; of many images by the fit of a few answers ago."""
        if self._news > len(self.images) // IMAGES_A_FIT:
            self._fit()
        pairs = ((self._number[a], self._number[b]) for a, b in excluded if a in self._number and b in self._number)
        chosen = informative_pair(self._posterior, pairs, random)
        return None if chosen is None else (self.images[chosen[0]], self.images[chosen[1]])

    def _fit(self) -> None:
        if self._news:
            pairs = preference_pairs(self._answers, self._number)
            self._posterior = fit_bradley_terry(len(self.images), pairs, start=self._posterior.mean)
            self._news = 0
