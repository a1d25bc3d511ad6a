# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Which image to look at next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from monai_semise.apps.label.datastore import SharedDatastore
from monai_semise.comparison import ComparisonSession
from monai_semise.utils import InputError

__all__ = ["InformativePair", "MostSevere", "UncertainSeverity", "grade_entropy"]


class _BySeverity(Strategy):
    """The image without a ``grade`` of a person whose severity, inferred before, comes first."""

    def __call__(self, request: Mapping[str, Any], datastore: SharedDatastore) -> dict[str, Any] | None:
        """
        Returns:
            ``id`` of the image and its ``weight``; None when every scored image has its grade.

        Raises:
            InputError: when no image was scored yet.
        """
        scored = {image: info for image, info in datastore.image_infos().items() if "severity" in info}
        if not scored:
            raise InputError("strategy: no image has a severity yet; run POST /batch/infer/severity first")
        weights = {image: self._weight(info["severity"]) for image, info in scored.items() if "grade" not in info}
        if not weights:
            return None
        image = max(weights, key=lambda image: weights[image])
        return {"id": image, "weight": weights[image], "severity": scored[image]["severity"]}

    def _weight(self, severity: Mapping[str, Any]) -> float:
        raise NotImplementedError


class MostSevere(_BySeverity):
    """Triage."""

    def __init__(self) -> None:
        super().__init__("The most severe image without a grade")

    def _weight(self, severity: Mapping[str, Any]) -> float:
        return float(severity["score"])


class UncertainSeverity(_BySeverity):
    """The image of whose grade the model is least sure."""

    def __init__(self) -> None:
        super().__init__("The image without a grade of whose severity the model is least sure")

    def _weight(self, severity: Mapping[str, Any]) -> float:
        return grade_entropy(severity)


class InformativePair(Strategy):
    """Two images whose comparison tells most.

    Args:
        session: gives the session of comparisons.
    """

    def __init__(self, session: Callable[[], ComparisonSession]) -> None:
        super().__init__("Two images whose comparison tells most of the order")
        self.session = session

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """
        Returns:
            ``pair``, the ids of both, and ``id``, that of the first; None when there is nothing left to compare.
        """
        pair = self.session().next_pair(str(request.get("client_id") or "client"))
        return None if pair is None else {"id": pair.image_a, "pair": [pair.image_a, pair.image_b]}


def grade_entropy(severity: Mapping[str, Any]) -> float:
    r"""How unsure a grade is, in bits: :math:`-\sum_k p_k \log_2 p_k` of its probabilities or, without these, of the
    two grades next to the position :math:`x`, with :math:`p = x - \lfloor x \rfloor`.

    Raises:
        InputError: when there are neither.

    Example:
        >>> [grade_entropy({"position": position}) for position in (1.0, 1.5)]
        [0.0, 1.0]
    """
    if "probabilities" in severity:
        shares = severity["probabilities"]
    elif "position" in severity:
        part = severity["position"] % 1
        shares = [part, 1 - part]
    else:
        raise InputError("uncertain_severity: the model has no calibration; train with more graded validation images")
    return sum(-p * math.log2(p) for p in shares if p > 0)
