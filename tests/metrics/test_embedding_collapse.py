# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from monai.metrics import compute_embedding_collapse

from monai_semise.metrics import EmbeddingCollapse
from tests.metrics.data import collected, integers


def gaussian(n, dimensions, seed=0):
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("indicator", ["effective_rank", "centroid_similarity"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("n", "dimensions"), [(2, 3), (7, 4), (50, 256)])
def test_constant_embeddings_score_1(n, dimensions, dtype, indicator):
    embeddings = gaussian(1, dimensions).to(dtype).repeat(n, 1)
    score = collected(EmbeddingCollapse(indicator), embeddings, torch.arange(n)).item()
    # the rank is 0 without any rounding error; the similarity is a dot product
    assert score == 1 if indicator == "effective_rank" else score == pytest.approx(1, abs=1e-6)


def test_isotropic_embeddings_score_low_and_flat_ones_high():
    isotropic = gaussian(2000, 8)
    labels = torch.zeros(2000)
    low = collected(EmbeddingCollapse(), isotropic, labels).item()
    high = collected(EmbeddingCollapse(), isotropic * torch.tensor([1.0] + [1e-4] * 7), labels).item()
    assert low < 0.01
    assert high > 0.85


@pytest.mark.parametrize(("second", "score"), [([2.0, 0.0], 1.0), ([0.0, 3.0], 0.5), ([-1.0, 0.0], 0.0)])
def test_centroid_similarity_by_hand(second, score):
    embeddings = torch.tensor([[1.0, 0.0], second, [7.0, -7.0]])
    metric = EmbeddingCollapse("centroid_similarity")
    assert collected(metric, embeddings, torch.tensor([0, 3, -1])).item() == score


def test_centroids_of_a_single_grade_cannot_be_compared():
    assert collected(EmbeddingCollapse("centroid_similarity"), gaussian(5, 3), torch.tensor([1, 1, -1, 1, 1])).isnan()


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize(
    ("indicator", "key"),
    [("effective_rank", "effective_rank_score"), ("centroid_similarity", "centroid_similarity")],
)
def test_is_monais_indicator_of_the_whole_set(indicator, key, columns):
    embeddings, severity = gaussian(40, 6), integers(40, 3)
    y = severity if columns == 1 else torch.stack([severity, torch.arange(40)], dim=1)
    expected = compute_embedding_collapse(embeddings, severity, reduction="none")[key]
    torch.testing.assert_close(
        collected(EmbeddingCollapse(indicator), embeddings, y, batches=(7, 30, 40)), expected, rtol=1e-4, atol=1e-5
    )


def test_an_unknown_indicator_is_named():
    with pytest.raises(ValueError, match="separation"):
        EmbeddingCollapse("separation")
