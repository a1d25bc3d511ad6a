# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from monai_semise.comparison.bradley_terry import fit_bradley_terry
from monai_semise.data import PreferencePair
from monai_semise.utils import InputError

__all__ = ["ImpliedPreference"]

MOST_IMAGES = 5000
"""Images whose covariance is worth its memory and time."""


class ImpliedPreference:
    r"""What comparisons imply of every pair of the compared images, asked or not.

    Answers on neighbours order all images (:func:`monai_semise.comparison.fit_bradley_terry`). That order speaks of
    distant images too, and outvotes single mistakes. With the posterior of the difference of two severities, of mean
    :math:`\mu` and variance v, the one is worse than the other with the probability (MacKay's approximation of its
    mean)

    .. math:: P(a \text{ worse than } b) = \sigma(\mu / \sqrt{1 + \pi v / 8})

    Args:
        pairs: comparisons.

    Raises:
        InputError: with fewer than two images, or more than :data:`MOST_IMAGES`.

    Example:
        >>> order = ImpliedPreference([PreferencePair(7, 3, 1.0), PreferencePair(3, 5, 1.0)])
        >>> order.images
        [3, 5, 7]
        >>> pairs, preference = order.pairs(torch.tensor([7, 5, 6]))  # 6 was never compared
        >>> pairs.tolist(), bool(preference > 0.5)
        ([[0, 1]], True)
    """

    images: list[int]
    """Those that were compared, in ascending order."""

    def __init__(self, pairs: Sequence[PreferencePair]) -> None:
        self.images = sorted({image for pair in pairs for image in pair[:2]})
        if not 2 <= len(self.images) <= MOST_IMAGES:
            raise InputError(
                f"comparisons of {len(self.images)} training images, where 2 to {MOST_IMAGES} can be ordered; "
                "compare more or fewer images"
            )
        number = {image: n for n, image in enumerate(self.images)}
        posterior = fit_bradley_terry(
            len(self.images), [pair._replace(a=number[pair.a], b=number[pair.b]) for pair in pairs]
        )
        self._numbers = torch.tensor(self.images)
        self._mean = torch.from_numpy(posterior.mean).float()
        self._covariance = torch.from_numpy(posterior.covariance).float()

    def pairs(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """All pairs of the compared images of a batch.

        Args:
            index: number of each image, shape (N,).

        Returns:
            rows (a, b) of positions in ``index``, a before b, shape (P, 2), and the probability that a is the worse
            one, shape (P,).
        """
        position, row = self._find(index)
        a, b = torch.triu_indices(len(row), len(row), offset=1, device=index.device)
        mean, covariance = self._mean[row], self._covariance[row][:, row]
        variance = covariance.diagonal()[a] + covariance.diagonal()[b] - 2 * covariance[a, b]
        preference = torch.sigmoid((mean[a] - mean[b]) / (1 + math.pi / 8 * variance).sqrt())
        return torch.stack([position[a], position[b]], dim=1), preference

    def severity(self, index: Tensor) -> Tensor:
        """Severity of each image of a batch, in log odds above the least severe image; -1 where it was not compared.

        Args:
            index: number of each image, shape (N,).
        """
        position, row = self._find(index)
        severity = torch.full((len(index),), -1.0, device=index.device)
        severity[position] = self._mean[row] - self._mean.min()
        return severity

    def _find(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Positions of the compared images in a batch, and their rows in the tables."""
        self._numbers, self._mean, self._covariance = (
            table.to(index.device) for table in (self._numbers, self._mean, self._covariance)
        )
        row = torch.searchsorted(self._numbers, index).clamp(max=len(self._numbers) - 1)
        position = (self._numbers[row] == index).nonzero().squeeze(1)
        return position, row[position]
