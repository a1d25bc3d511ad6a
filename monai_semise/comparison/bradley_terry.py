# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit

from monai_semise.data import PreferencePair

__all__ = ["PRIOR_VARIANCE", "Posterior", "fit_bradley_terry"]

PRIOR_VARIANCE = 4.0
"""Of the severity of an image before it was compared; two images at random then differ by 2.8 in the median."""


class Posterior(NamedTuple):
    """What comparisons say of the severity of n images, as a normal distribution.

    Example:
        >>> Posterior(np.zeros(2), np.eye(2)).deviation.tolist()
        [1.0, 1.0]
    """

    mean: np.ndarray
    """Severity of each image, shape (n,): log odds to be judged worse than an average image."""
    covariance: np.ndarray
    """Of these severities, shape (n, n)."""

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of each severity, shape (n,)."""
        return np.sqrt(np.diag(self.covariance))


def fit_bradley_terry(
    n_images: int,
    pairs: Sequence[PreferencePair],
    prior_variance: float = PRIOR_VARIANCE,
    start: np.ndarray | None = None,
) -> Posterior:
    r"""Severities under the Bradley-Terry model, with their uncertainty.

    .. math:: P(a \text{ worse than } b) = \sigma(s_a - s_b), \qquad s \sim N(0, \sigma^2 I)

    Two images called equal count as half a comparison each way. The posterior is Laplace's approximation: a normal
    distribution at the mode, which the log posterior, being concave, has one of. O(n^3) time.

    Args:
        n_images: number of images n.
        pairs: comparisons, with image numbers from 0 to n - 1.
        prior_variance: :math:`\sigma^2`.
        start: mean of an earlier fit, shape (n,), which makes this one faster.

    Example:
        >>> pairs = [PreferencePair(0, 1, 1.0), PreferencePair(1, 2, 1.0)]
        >>> [f"{severity:.1f}" for severity in fit_bradley_terry(3, pairs).mean + 1]
        ['2.0', '1.0', '-0.0']
    """
    a, b = (np.array([pair[side] for pair in pairs], dtype=int) for side in (0, 1))
    preference, weight = (np.array([pair[field] for pair in pairs], dtype=float) for field in (2, 3))
    rows = np.arange(len(pairs))
    ones = np.ones(len(pairs))
    difference = csr_array(
        (np.concatenate([ones, -ones]), (np.tile(rows, 2), np.concatenate([a, b]))), shape=(len(pairs), n_images)
    )

    def loss(severity: np.ndarray) -> tuple[float, np.ndarray]:
        logit = difference @ severity
        value = weight @ (np.logaddexp(0, logit) - preference * logit) + severity @ severity / (2 * prior_variance)
        return value, difference.T @ (weight * (expit(logit) - preference)) + severity / prior_variance

    def curvature(severity: np.ndarray) -> np.ndarray:
        odds = expit(difference @ severity)
        return weight * odds * (1 - odds)

    def hessian_product(severity: np.ndarray, direction: np.ndarray) -> np.ndarray:
        return difference.T @ (curvature(severity) * (difference @ direction)) + direction / prior_variance

    begin = np.zeros(n_images) if start is None else start
    mean = minimize(loss, begin, jac=True, hessp=hessian_product, method="Newton-CG", options={"xtol": 1e-6}).x
    hessian = (difference.T @ (difference * curvature(mean)[:, None])).toarray() + np.eye(n_images) / prior_variance
    return Posterior(mean, np.asarray(cho_solve(cho_factor(hessian), np.eye(n_images))))
