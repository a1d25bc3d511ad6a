# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Ordinal metrics as MONAI cumulative metrics: one value of the whole data set, right in a distributed run."""

from __future__ import annotations

from monai_semise.metrics.embedding_collapse import EmbeddingCollapse
from monai_semise.metrics.exponential_error import (
    MeanAbsoluteExponentialError,
    mean_absolute_exponential_error,
)
from monai_semise.metrics.macro import MacroF1Score, MacroRecall, macro_f1_score, macro_recall
from monai_semise.metrics.pairs import PairAccuracy, pair_accuracy
from monai_semise.metrics.rank_correlation import KendallTau, kendall_tau

__all__ = [
    "EmbeddingCollapse",
    "KendallTau",
    "MacroF1Score",
    "MacroRecall",
    "MeanAbsoluteExponentialError",
    "PairAccuracy",
    "kendall_tau",
    "macro_f1_score",
    "macro_recall",
    "mean_absolute_exponential_error",
    "pair_accuracy",
]
