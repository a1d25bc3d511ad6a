# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from monai_semise.metrics.absolute_error import grade_mean_absolute_error, macro_mean_absolute_error
from monai_semise.metrics.accuracy import grade_accuracy, one_off_accuracy
from monai_semise.metrics.concordance import ordinal_c_index
from monai_semise.metrics.exponential_error import mean_absolute_exponential_error
from monai_semise.metrics.kappa import quadratic_weighted_kappa
from monai_semise.metrics.macro import macro_f1_score, macro_recall
from monai_semise.metrics.probability import macro_auc, ranked_probability_score
from monai_semise.metrics.rank_correlation import kendall_tau, spearman_correlation

__all__ = ["MEASURES", "Measure"]


class Measure(NamedTuple):
    """A metric of graded images, what it is computed from, and which way is better.

    Example:
        >>> MEASURES["maee"].higher_is_better
        False
    """

    function: Callable[..., Tensor]
    """Takes the prediction, the true grades of shape (N,) and ``weight``, how often each image counts."""
    part: str
    """Field of :class:`monai_semise.metrics.GradePrediction` that it takes."""
    higher_is_better: bool


MEASURES = {
    "macro_f1": Measure(macro_f1_score, "grade", True),
    "macro_recall": Measure(macro_recall, "grade", True),
    "accuracy": Measure(grade_accuracy, "grade", True),
    "one_off_accuracy": Measure(one_off_accuracy, "grade", True),
    "quadratic_weighted_kappa": Measure(quadratic_weighted_kappa, "grade", True),
    "maee": Measure(mean_absolute_exponential_error, "grade", False),
    "mae": Measure(grade_mean_absolute_error, "grade", False),
    "macro_mae": Measure(macro_mean_absolute_error, "grade", False),
    "c_index": Measure(ordinal_c_index, "score", True),
    "kendall_tau": Measure(kendall_tau, "score", True),
    "spearman": Measure(spearman_correlation, "score", True),
    "macro_auc": Measure(macro_auc, "probability", True),
    "ranked_probability_score": Measure(ranked_probability_score, "probability", False),
}
"""Every metric of an evaluation by name, in the order of its columns."""
