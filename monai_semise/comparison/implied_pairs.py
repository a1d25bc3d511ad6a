# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from monai_semise.comparison.bradley_terry import fit_bradley_terry
from monai_semise.data import PreferencePair
from monai_semise.utils import InputError

__all__ = ["implied_pairs"]

MOST_IMAGES = 5000
"""Images whose covariance is worth its memory and time."""


def implied_pairs(pairs: Sequence[PreferencePair], n_pairs: int, seed: int = 0) -> list[PreferencePair]:
    r"""Pairs that follow from comparisons: any two compared images, and how likely the one is worse than the other.

    Answers on neighbours order all images (:func:`monai_semise.comparison.fit_bradley_terry`). That order speaks of
    distant images too, and outvotes single mistakes. The preference is the mean of
    :math:`\sigma(s_a - s_b)` over the posterior, in MacKay's approximation :math:`\sigma(\mu / \sqrt{1 + \pi v / 8})`.

    Args:
        pairs: comparisons.
        n_pairs: number of pairs to draw, uniformly among the compared images.
        seed: of the draw.

    Raises:
        InputError: with fewer than two images, or more than :data:`MOST_IMAGES`.

    Example:
        >>> implied = implied_pairs([PreferencePair(7, 3, 1.0), PreferencePair(3, 5, 1.0)], n_pairs=20)
        >>> preference = {(a, b): p for a, b, p, _ in implied}
        >>> preference[7, 5] > preference[7, 3] > 0.5
        True
    """
    images = sorted({image for pair in pairs for image in pair[:2]})
    if not 2 <= len(images) <= MOST_IMAGES:
        raise InputError(
            f"implied_pairs: {len(images)} compared images where 2 to {MOST_IMAGES} can be ordered; "
            "compare more or fewer, or learn from the answers as they are (n_training_pairs null)"
        )
    number = {image: n for n, image in enumerate(images)}
    posterior = fit_bradley_terry(len(images), [pair._replace(a=number[pair.a], b=number[pair.b]) for pair in pairs])
    random = np.random.default_rng(seed)
    a = random.integers(len(images), size=n_pairs)
    b = (a + random.integers(1, len(images), size=n_pairs)) % len(images)
    variance = np.diag(posterior.covariance)
    spread = variance[a] + variance[b] - 2 * posterior.covariance[a, b]
    preference = expit((posterior.mean[a] - posterior.mean[b]) / np.sqrt(1 + np.pi * spread / 8))
    drawn = zip(a.tolist(), b.tolist(), preference.tolist())
    return [PreferencePair(images[one], images[other], worse) for one, other, worse in drawn]
