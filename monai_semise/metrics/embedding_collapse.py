# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from monai.metrics import compute_embedding_collapse
from monai.utils import look_up_option
from torch import Tensor

from monai_semise.metrics.cumulative import WholeSetMetric

__all__ = ["EmbeddingCollapse"]

INDICATORS = {"effective_rank": "effective_rank_score", "centroid_similarity": "centroid_similarity"}


class EmbeddingCollapse(WholeSetMetric):
    """MONAI's embedding collapse indicators, collected over the batches and ranks of an epoch.

    Args:
        indicator: ``"effective_rank"`` (0: all dimensions used alike, 1: the embedding is constant) or
            ``"centroid_similarity"`` (0: centroids of the grades opposite, 0.5 orthogonal, 1 identical).

    Example:
        >>> import torch
        >>> metric = EmbeddingCollapse()
        >>> _ = metric(torch.ones(8, 4), torch.zeros(8))
        >>> metric.aggregate().item()
        1.0
    """

    def __init__(self, indicator: str = "effective_rank") -> None:
        super().__init__()
        self.indicator = look_up_option(indicator, set(INDICATORS))

    def compute(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """
        Args:
            y_pred: embeddings of shape (N, D).
            y: severity of shape (N,), or rows whose first column it is; negative when ungraded.
        """
        severity = y.reshape(len(y), -1)[:, 0]
        if self.indicator == "centroid_similarity":
            y_pred, severity = y_pred[severity >= 0], severity[severity >= 0]
        else:
            # the rank does not depend on the origin; this one leaves no rounding error of a constant embedding
            y_pred = y_pred.float() - y_pred[:1].float()
        scores = compute_embedding_collapse(y_pred, severity, reduction="none", include_indicators=[self.indicator])
        score = scores[INDICATORS[self.indicator]]
        return y_pred.new_tensor(float("nan")) if score is None else score
