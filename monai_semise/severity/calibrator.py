# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import GroupKFold

from monai_semise.utils import InputError

__all__ = ["CalibratedSeverity", "SeverityCalibrator"]

N_FOLDS = 5
TOLERANCE = 1e-9
"""So that a grade at the very end of an interval lies inside it."""


@dataclass(frozen=True)
class CalibratedSeverity:
    """Severity of N images on the grade scale.

    Args:
        position: expected grade, in [0, K - 1], shape (N,).
        low: lower end of the conformal interval, in [0, K - 1], shape (N,).
        high: upper end.
    """

    position: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def grade(self) -> np.ndarray:
        """The nearest grade, integers of shape (N,); half way, the worse one."""
        return np.floor(self.position + 0.5).astype(int)

    def grade_sets(self) -> list[list[int]]:
        """Conformal prediction set of each image: the grades inside its interval, at least the nearest one."""
        sets = []
        for low, high, grade in zip(self.low, self.high, self.grade):
            inside = range(math.ceil(low - TOLERANCE), math.floor(high + TOLERANCE) + 1)
            sets.append(sorted({int(grade), *inside}))
        return sets

    def covers(self, severity: Sequence[int] | np.ndarray) -> np.ndarray:
        """Whether the true grade lies in the prediction set, shape (N,)."""
        return np.array([grade in inside for grade, inside in zip(np.asarray(severity).tolist(), self.grade_sets())])


class SeverityCalibrator:
    r"""Turn severity scores into positions on the grade scale, with intervals of a chosen coverage.

    The position is an isotonic regression of the grade on the score (Zadrozny and Elkan 2002), from scikit-learn. The
    interval is position :math:`\pm q`, where q is the :math:`\lceil (n + 1) c \rceil`-th smallest of the n residuals
    :math:`|y_i - \hat y_{-k(i)}(s_i)|` of a cross-validation in which patients stay together, and c is the coverage:
    the cross-conformal construction of Vovk (2015), as in the CV+ of Barber et al. (2021). It covers about a share c
    of new images like those of the calibration; the guarantee that holds whatever the data is 2c - 1. Where the n
    images are too few for c, the interval is the whole scale.

    Fit it on validation images alone: on training images the scores are too good.

    Args:
        coverage: share c of images whose grade the interval shall hold, in (0, 1).
        n_grades: number of grades K; None takes the highest of the fitted ones.

    Example:
        >>> import numpy as np
        >>> score, grade = np.linspace(0, 1, 50), np.repeat([0, 1, 2, 3, 4], 10)
        >>> calibrated = SeverityCalibrator(coverage=0.9).fit(score, grade).calibrate([0.0, 0.5, 1.0])
        >>> calibrated.grade.tolist(), calibrated.grade_sets()
        ([0, 2, 4], [[0], [2], [4]])
    """

    def __init__(self, coverage: float = 0.9, n_grades: int | None = None) -> None:
        if not 0 < coverage < 1:
            raise InputError(f"coverage: {coverage} is not between 0 and 1")
        self.coverage = coverage
        self.n_grades = n_grades
        self.scores: np.ndarray | None = None

    def fit(
        self,
        score: Sequence[float] | np.ndarray,
        severity: Sequence[int] | np.ndarray,
        groups: Sequence[Hashable] | None = None,
    ) -> SeverityCalibrator:
        """Fit on graded images.

        Args:
            score: severity scores, finite, shape (N,).
            severity: grades, shape (N,).
            groups: patient of each image; None takes each image for a patient of its own.

        Raises:
            InputError: with fewer than two patients, fewer than two grades, or scores that are not finite.
        """
        score, severity = np.asarray(score, dtype=float), np.asarray(severity, dtype=int)
        names = list(range(len(score))) if groups is None else list(groups)
        patient = np.unique(np.array([str(name) for name in names]), return_inverse=True)[1]
        n_patients = len(np.unique(patient))
        if n_patients < 2 or len(np.unique(severity)) < 2:
            raise InputError(
                f"calibration: {n_patients} patient(s) with {len(np.unique(severity))} grade(s) in validation; "
                "give it graded images of at least two patients and two grades"
            )
        if not np.isfinite(score).all():
            raise InputError("calibration: a severity score is not finite; train with a smaller learning rate")
        self.n_grades = int(severity.max()) + 1 if self.n_grades is None else self.n_grades
        residual = np.empty(len(score))
        for kept, held_out in GroupKFold(min(N_FOLDS, n_patients)).split(score, groups=patient):
            fold = IsotonicRegression(out_of_bounds="clip").fit(score[kept], severity[kept])
            residual[held_out] = np.abs(severity[held_out] - fold.predict(score[held_out]))
        rank = math.ceil((len(score) + 1) * self.coverage)
        self.half_width = float(np.sort(residual)[rank - 1]) if rank <= len(score) else float(self.n_grades - 1)
        regression = IsotonicRegression(out_of_bounds="clip").fit(score, severity)
        self.scores, self.positions = regression.X_thresholds_, regression.y_thresholds_
        return self

    def calibrate(self, score: Sequence[float] | np.ndarray) -> CalibratedSeverity:
        """Place scores on the grade scale.

        Raises:
            RuntimeError: before :meth:`fit`.
        """
        if self.scores is None or self.n_grades is None:
            raise RuntimeError("calibrate: fit the calibrator first")
        position = np.interp(np.asarray(score, dtype=float), self.scores, self.positions)
        low, high = (np.clip(position + sign * self.half_width, 0, self.n_grades - 1) for sign in (-1, 1))
        return CalibratedSeverity(position, low, high)

    def to_dict(self) -> dict[str, Any]:
        """Everything that was fitted, as plain values for a JSON file; see :meth:`from_dict`."""
        if self.scores is None:
            raise RuntimeError("to_dict: fit the calibrator first")
        return {
            "coverage": self.coverage,
            "n_grades": self.n_grades,
            "half_width": self.half_width,
            "scores": self.scores.tolist(),
            "positions": self.positions.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SeverityCalibrator:
        """The calibrator that :meth:`to_dict` describes.

        Raises:
            InputError: when a field is missing or makes no sense.
        """
        try:
            calibrator = cls(float(content["coverage"]), int(content["n_grades"]))
            calibrator.half_width = float(content["half_width"])
            calibrator.scores = np.array(content["scores"], dtype=float)
            calibrator.positions = np.array(content["positions"], dtype=float)
            if calibrator.scores.ndim != 1 or calibrator.scores.shape != calibrator.positions.shape:
                raise ValueError("scores and positions differ in length")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"calibration: not a calibration of monai_semise ({type(error).__name__}: {error})"
            ) from error
        return calibrator
