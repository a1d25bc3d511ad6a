# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The losses of the paper and of its rivals: pure functions on embeddings or distances, and modules around them."""

from __future__ import annotations

from monai_semise.losses.barlow_twins import CrossCorrelationLoss, barlow_twins_terms
from monai_semise.losses.comparison import ComparisonLoss
from monai_semise.losses.corn import OrdinalCornLoss, ordinal_corn_loss
from monai_semise.losses.cosine import cosine_distance
from monai_semise.losses.dice_cross_entropy import DiceCrossEntropyLoss
from monai_semise.losses.grade_weights import balanced_grade_weights
from monai_semise.losses.margin_contrastive import (
    MarginContrastiveLoss,
    batch_margin_contrastive_loss,
    margin_contrastive_loss,
)
from monai_semise.losses.nt_xent import NTXentLoss, nt_xent_loss
from monai_semise.losses.preference import PreferenceLoss, batch_preference_loss, comparable_pairs, preference_loss
from monai_semise.losses.rank_n_contrast import RankNContrastLoss, rank_n_contrast_loss
from monai_semise.losses.reference import healthy_reference
from monai_semise.losses.semise import HealthyAnomalyLoss, SemiseLoss, semise_loss
from monai_semise.losses.supervised_contrastive import SupervisedContrastiveLoss, supervised_contrastive_loss

__all__ = [
    "ComparisonLoss",
    "CrossCorrelationLoss",
    "DiceCrossEntropyLoss",
    "HealthyAnomalyLoss",
    "MarginContrastiveLoss",
    "NTXentLoss",
    "OrdinalCornLoss",
    "PreferenceLoss",
    "RankNContrastLoss",
    "SemiseLoss",
    "SupervisedContrastiveLoss",
    "balanced_grade_weights",
    "barlow_twins_terms",
    "batch_margin_contrastive_loss",
    "batch_preference_loss",
    "comparable_pairs",
    "cosine_distance",
    "healthy_reference",
    "margin_contrastive_loss",
    "nt_xent_loss",
    "ordinal_corn_loss",
    "preference_loss",
    "rank_n_contrast_loss",
    "semise_loss",
    "supervised_contrastive_loss",
]
