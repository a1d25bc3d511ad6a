# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.special import entr, ndtr

from monai_semise.comparison.bradley_terry import Posterior

__all__ = ["expected_information", "informative_pair"]

PROBIT = 1.702
"""The logistic function is close to the normal distribution function stretched by this."""


def expected_information(posterior: Posterior) -> np.ndarray:
    r"""How much the answer to each pair is expected to tell of the severities.

    The mutual information of answer and severities: what is not known of the answer, less what a rater who knew the
    severities would still leave open. It is high for images that lie near each other or are little known. Closed form
    of Houlsby et al. (2011), "Bayesian active learning for classification and preference learning" (BALD),
    arXiv 1112.5745:

    .. math::
        h\!\left(\Phi\!\left(\tfrac{\mu}{\sqrt{v + 1}}\right)\right)
        - \frac{C}{\sqrt{v + C^2}} \exp\!\left(-\frac{\mu^2}{2 (v + C^2)}\right), \qquad C^2 = \frac{\pi \ln 2}{2}

    with mean and variance of the difference of two severities, and the entropy h.

    Args:
        posterior: of n images.

    Returns:
        bits, shape (n, n), symmetric.

    Example:
        >>> far_and_near = Posterior(np.array([0.0, 0.1, 3.0]), 0.1 * np.eye(3))
        >>> information = expected_information(far_and_near)
        >>> bool(information[0, 1] > information[0, 2])
        True
    """
    mean, covariance = posterior.mean / PROBIT, posterior.covariance / PROBIT**2
    variance = np.diag(covariance)
    difference = mean[:, None] - mean
    spread = np.maximum(variance[:, None] + variance - 2 * covariance, 0)
    worse = ndtr(difference / np.sqrt(spread + 1))
    open_before = (entr(worse) + entr(1 - worse)) / np.log(2)
    c_squared = np.pi * np.log(2) / 2
    open_after = np.sqrt(c_squared / (spread + c_squared)) * np.exp(-(difference**2) / (2 * (spread + c_squared)))
    return open_before - open_after


def informative_pair(
    posterior: Posterior, excluded: Iterable[tuple[int, int]] = (), random: np.random.Generator | None = None
) -> tuple[int, int] | None:
    """The pair of images whose comparison is expected to tell most.

    Before any answer all pairs tell the same, and one is drawn; then come images that were not compared yet, and then
    neighbours in the order so far, as in sorting by merging: n images are ordered by about n log n comparisons.

    Args:
        posterior: of n images.
        excluded: pairs that shall not be taken.
        random: draws among equals, and which image comes first.

    Returns:
        numbers of the two images; None when all pairs are excluded.

    Example:
        >>> informative_pair(Posterior(np.zeros(3), np.eye(3)), excluded=[(0, 1), (2, 1)]) in ((0, 2), (2, 0))
        True
    """
    random = np.random.default_rng() if random is None else random
    information = expected_information(posterior)
    np.fill_diagonal(information, -np.inf)
    for pair in excluded:
        information[pair] = information[pair[::-1]] = -np.inf
    best = information.max(initial=-np.inf)
    if best == -np.inf:
        return None
    equals = np.argwhere(information >= best - 1e-9)
    a, b = equals[random.integers(len(equals))].tolist()
    return a, b
