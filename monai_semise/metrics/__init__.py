# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Ordinal metrics as MONAI cumulative metrics: one value of the whole data set, right in a distributed run.

Their functions take how often each image counts, on which the intervals by patient rest. Dice and IoU of each image are
MONAI's own (:class:`monai.metrics.DiceMetric`, :class:`monai.metrics.MeanIoU`); :func:`mask_metrics` averages them.
"""

from __future__ import annotations

from monai_semise.metrics.absolute_error import (
    GradeMeanAbsoluteError,
    MacroMeanAbsoluteError,
    grade_mean_absolute_error,
    macro_mean_absolute_error,
)
from monai_semise.metrics.accuracy import GradeAccuracy, OneOffAccuracy, grade_accuracy, one_off_accuracy
from monai_semise.metrics.baselines import constant_majority, constant_warnings, is_constant, stratified_random
from monai_semise.metrics.bootstrap import Interval, bootstrap_intervals, few_groups_warnings
from monai_semise.metrics.concordance import ordinal_c_index
from monai_semise.metrics.constant_mask import best_constant_mask
from monai_semise.metrics.counting import image_mean, known_mean
from monai_semise.metrics.embedding_collapse import EmbeddingCollapse
from monai_semise.metrics.evaluation import BASELINES, Evaluation, evaluate_predictions
from monai_semise.metrics.exponential_error import (
    MeanAbsoluteExponentialError,
    mean_absolute_exponential_error,
)
from monai_semise.metrics.kappa import QuadraticWeightedKappa, quadratic_weighted_kappa
from monai_semise.metrics.macro import MacroF1Score, MacroRecall, macro_f1_score, macro_recall
from monai_semise.metrics.mask_overlap import mask_metrics
from monai_semise.metrics.measures import MEASURES, Measure
from monai_semise.metrics.pairs import PairAccuracy, pair_accuracy
from monai_semise.metrics.prediction import GradePrediction
from monai_semise.metrics.probability import MacroAUC, RankedProbabilityScore, macro_auc, ranked_probability_score
from monai_semise.metrics.rank_correlation import KendallTau, SpearmanCorrelation, kendall_tau, spearman_correlation

__all__ = [
    "BASELINES",
    "EmbeddingCollapse",
    "Evaluation",
    "GradeAccuracy",
    "GradeMeanAbsoluteError",
    "GradePrediction",
    "Interval",
    "KendallTau",
    "MEASURES",
    "MacroAUC",
    "MacroF1Score",
    "MacroMeanAbsoluteError",
    "MacroRecall",
    "MeanAbsoluteExponentialError",
    "Measure",
    "OneOffAccuracy",
    "PairAccuracy",
    "QuadraticWeightedKappa",
    "RankedProbabilityScore",
    "SpearmanCorrelation",
    "best_constant_mask",
    "bootstrap_intervals",
    "constant_majority",
    "constant_warnings",
    "evaluate_predictions",
    "few_groups_warnings",
    "grade_accuracy",
    "grade_mean_absolute_error",
    "image_mean",
    "is_constant",
    "known_mean",
    "kendall_tau",
    "macro_auc",
    "macro_f1_score",
    "macro_mean_absolute_error",
    "macro_recall",
    "mask_metrics",
    "mean_absolute_exponential_error",
    "one_off_accuracy",
    "ordinal_c_index",
    "pair_accuracy",
    "quadratic_weighted_kappa",
    "ranked_probability_score",
    "spearman_correlation",
    "stratified_random",
]
