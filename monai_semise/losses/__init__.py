# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The losses of the paper: each a pure function on embeddings or distances, and a module around it."""

from __future__ import annotations

from monai_semise.losses.corn import OrdinalCornLoss
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
from monai_semise.losses.reference import healthy_reference
from monai_semise.losses.semise import HealthyAnomalyLoss, SemiseLoss, semise_loss

__all__ = [
    "DiceCrossEntropyLoss",
    "HealthyAnomalyLoss",
    "MarginContrastiveLoss",
    "NTXentLoss",
    "OrdinalCornLoss",
    "PreferenceLoss",
    "SemiseLoss",
    "balanced_grade_weights",
    "batch_margin_contrastive_loss",
    "batch_preference_loss",
    "comparable_pairs",
    "cosine_distance",
    "healthy_reference",
    "margin_contrastive_loss",
    "nt_xent_loss",
    "preference_loss",
    "semise_loss",
]
