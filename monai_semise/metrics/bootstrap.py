# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Intervals that know that images of one patient are not independent.

Images of a patient resemble each other, so a data set of 300 images of 40 patients says little more than 40 images.
Resampling images would ignore that and give intervals that are too narrow; here whole patients are drawn, with all
their images.

The ends are percentiles of the resampled values: they never leave the range of the metric, need no symmetry, and exist
wherever the metric does. The bias-corrected kind (BCa) has no value for a metric that is the same in every resample,
such as any of a constant predictor.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from monai_semise.utils import InputError

__all__ = ["Interval", "bootstrap_intervals", "few_groups_warnings", "group_numbers"]

FEWEST_GROUPS = 20
"""Number of groups below which the intervals are too narrow, however many images there are."""
_CHUNK_ELEMENTS = 1 << 21


class Interval(NamedTuple):
    """A metric and where it lies if other patients had been drawn.

    Example:
        >>> Interval(0.81, 0.75, 0.86, undefined=0.0).low
        0.75
    """

    value: float
    """The metric of all images; nan where it is not defined."""
    low: float
    """Lower end; nan where there is none, see :func:`bootstrap_intervals`."""
    high: float
    """Upper end."""
    undefined: float
    """Share of resamples in which the metric was not defined."""


@torch.no_grad()
def bootstrap_intervals(
    metrics: Mapping[str, Callable[[Tensor], Tensor]],
    groups: Sequence[Hashable] | Tensor,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile bootstrap of several metrics, resampled by patient.

    Draws as many groups as there are, with replacement, and counts each image as often as its group was drawn. All
    metrics see the same resamples, and so do two calls with the same groups and seed: a metric may therefore be the
    difference of two models. O(N n_resamples) time, memory as of a few resamples.

    A macro average is, in each resample, over the grades that occur in it. A resample in which a metric is nan (such as
    a rank correlation where all images have one grade) is left out, and :attr:`Interval.undefined` tells how many were;
    the ends are nan when more are than 1 - ``confidence``, since they could then lie anywhere, and when all images are
    of one group. From fewer than :data:`FEWEST_GROUPS` groups the intervals are too narrow.

    Args:
        metrics: functions by name, of the weight alone: they take how often each image counts, shape (N, R), and return
            the value in each of R resamples, shape (R,); shape (N,) gives a scalar. All metric functions of this folder
            do so once their data are filled in with :func:`functools.partial`.
        groups: patient of each image, such as the ``group`` of a datalist; ``range(N)`` where every image stands for
            itself. Length N.
        n_resamples: number of resamples.
        confidence: share of the resampled values between the two ends, between 0 and 1.
        seed: of the draws.

    Returns:
        the interval of each metric.

    Raises:
        InputError: without an image, or with a number out of range.

    Example:
        >>> import torch
        >>> from functools import partial
        >>> from monai_semise.metrics import grade_accuracy, image_mean
        >>> metrics = {
        ...     "accuracy": partial(grade_accuracy, torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 0])),
        ...     "dice": partial(image_mean, torch.tensor([0.8, 0.7, 0.9, 0.6])),
        ... }
        >>> intervals = bootstrap_intervals(metrics, groups=["anna", "anna", "ben", "cleo"])
        >>> intervals["accuracy"]
        Interval(value=0.75, low=0.0, high=1.0, undefined=0.0)
    """
    if not len(groups):
        raise InputError("bootstrap: no image to resample; give at least one")
    if n_resamples < 1 or not 0 < confidence < 1:
        raise InputError(
            f"bootstrap: n_resamples must be above 0 and confidence between 0 and 1, found {n_resamples}, {confidence}"
        )
    group = group_numbers(groups)
    n_groups = int(group.max()) + 1
    generator = torch.Generator().manual_seed(seed)
    resampled: dict[str, list[Tensor]] = {name: [] for name in metrics}
    for chunk in torch.arange(n_resamples).split(max(1, _CHUNK_ELEMENTS // len(group))):
        # one resample after the other, so that the draws do not depend on the size of the chunks
        drawn = torch.randint(n_groups, (len(chunk), n_groups), generator=generator).T
        times = torch.zeros(drawn.shape, dtype=torch.float64)
        weight = times.scatter_add_(0, drawn, torch.ones_like(times))[group]
        for name, metric in metrics.items():
            resampled[name].append(metric(weight))
    once = torch.ones(len(group), dtype=torch.float64)
    return {
        name: _interval(float(metric(once)), torch.cat(resampled[name]), confidence, single_group=n_groups == 1)
        for name, metric in metrics.items()
    }


def few_groups_warnings(n_groups: int) -> list[str]:
    """What must be said beside intervals from so many patients: nothing from :data:`FEWEST_GROUPS` on.

    Example:
        >>> few_groups_warnings(12)
        ['12 patients or groups: intervals from fewer than 20 are too narrow']
    """
    if n_groups >= FEWEST_GROUPS:
        return []
    return [f"{n_groups} patients or groups: intervals from fewer than {FEWEST_GROUPS} are too narrow"]


def group_numbers(groups: Sequence[Hashable] | Tensor) -> Tensor:
    """Groups numbered from 0 in the order in which they come, shape (N,)."""
    number: dict[Hashable, int] = {}
    names = groups.tolist() if isinstance(groups, Tensor) else groups
    return torch.tensor([number.setdefault(name, len(number)) for name in names])


def _interval(value: float, resampled: Tensor, confidence: float, single_group: bool) -> Interval:
    undefined = float(resampled.isnan().double().mean())
    if single_group or undefined > 1 - confidence:
        return Interval(value, float("nan"), float("nan"), undefined)
    tail = (1 - confidence) / 2
    low, high = torch.nanquantile(resampled, resampled.new_tensor([tail, 1 - tail])).tolist()
    return Interval(value, low, high, undefined)
