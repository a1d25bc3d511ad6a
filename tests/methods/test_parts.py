# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_semise.losses import MarginContrastiveLoss, NTXentLoss, SupervisedContrastiveLoss
from monai_semise.methods.feature_net import FeatureNet
from monai_semise.methods.grade_logits_loss import GradeLogitsLoss
from monai_semise.methods.grading_net import GradingNet
from monai_semise.methods.labelled_rows_loss import LabelledRowsLoss
from monai_semise.methods.projection_net import ProjectionNet, mlp
from monai_semise.methods.view_pair_loss import ViewPairLoss
from monai_semise.networks import SeverityClassifier
from monai_semise.utils.heads import PREFERENCE, PROJECTION
from tests.losses.reference import random

GRADES = torch.tensor([0, 2, -1, 1, 3])


def test_projection_net_gives_its_projection_twice_and_scores_by_distance_to_healthy():
    network = ProjectionNet("resnet10", in_channels=3, embedding_dim=7).eval()
    image = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        heads = network(image)
        projection = network.projection(network.features(image))
        network.set_healthy_reference(heads[0, PROJECTION])
        score = network.score(image)
    torch.testing.assert_close(heads, torch.stack([projection, projection], dim=1))
    torch.testing.assert_close(score, 1 - torch.cosine_similarity(projection, projection[:1]))


def test_mlp_normalizes_between_its_layers():
    layers = mlp(4, 8, 3).train()
    hidden = layers[:2](random(50, 4, dtype=torch.float32))
    torch.testing.assert_close(hidden.mean(dim=0), torch.zeros(8), atol=1e-5, rtol=0)
    assert layers(torch.rand(2, 4)).shape == (2, 3)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_feature_net_gives_features_and_scores_by_their_distance_to_healthy_ones(spatial_dims):
    network = FeatureNet("resnet10", spatial_dims).eval()
    image = torch.rand(3, 1, *[32] * spatial_dims)
    with torch.inference_mode():
        features = network.features(image)
        network.set_healthy_reference(features[:2].mean(dim=0))
        score = network.score(image)
    assert features.shape == (3, network.n_features)
    assert torch.equal(network(image)[:, PREFERENCE], features)
    torch.testing.assert_close(score, ((features - features[:2].mean(dim=0)) ** 2).sum(dim=1).sqrt())


@pytest.mark.parametrize("head", ["softmax", "corn"])
def test_grading_net_scores_by_the_expected_grade_without_a_reference(head):
    torch.manual_seed(0)
    network = GradingNet(5, "resnet10", head=head).eval()
    classifier = SeverityClassifier(5, "resnet10", head=head)
    logits = 3 * random(20, 5 if head == "softmax" else 4, dtype=torch.float32)
    assert network(torch.rand(2, 1, 32, 32)).shape == (2, 2, logits.shape[1])
    expected = classifier.expected_grade(classifier.probabilities(logits))
    torch.testing.assert_close(network.severity(torch.stack([torch.zeros_like(logits), logits], dim=1)), expected)


def test_grading_net_names_an_unknown_head():
    with pytest.raises(ValueError, match="sigmoid"):
        GradingNet(5, "resnet10", head="sigmoid")


def test_view_pair_loss_compares_the_last_head_of_both_views():
    embeddings = random(2, 6, 3, 4)
    loss = ViewPairLoss(NTXentLoss(0.2))
    value = loss(embeddings, {})
    torch.testing.assert_close(value, NTXentLoss(0.2)(embeddings[0, :, 2], embeddings[1, :, 2]))
    assert loss.terms == {"loss": value}


@pytest.mark.parametrize("n_views", [1, 2])
@pytest.mark.parametrize("labels", ["grade", "anomaly"])
@pytest.mark.parametrize("inner", [SupervisedContrastiveLoss(), MarginContrastiveLoss(balance="none")])
def test_labelled_rows_loss_gives_each_view_its_image_s_label(inner, labels, n_views):
    embeddings = random(n_views, 5, 2, 4)
    value = LabelledRowsLoss(inner, labels)(embeddings, {"severity": GRADES})
    rows = torch.cat([view[:, 1] for view in embeddings])
    of_image = GRADES if labels == "grade" else torch.tensor([0, 1, -1, 1, 1])
    torch.testing.assert_close(value, inner(rows, torch.cat([of_image] * n_views)))


def test_labelled_rows_loss_names_an_unknown_label():
    with pytest.raises(ValueError, match="severity"):
        LabelledRowsLoss(SupervisedContrastiveLoss(), labels="severity")


def test_grade_logits_loss_leaves_ungraded_images_out():
    embeddings = random(2, 5, 2, 4).requires_grad_()
    value = GradeLogitsLoss(nn.CrossEntropyLoss())(embeddings, {"severity": GRADES})
    graded = embeddings.detach()[:, GRADES >= 0, 1].flatten(0, 1)
    torch.testing.assert_close(value, nn.CrossEntropyLoss()(graded.float(), GRADES[GRADES >= 0].repeat(2)))
    value.backward()
    assert embeddings.grad is not None
    assert torch.equal(embeddings.grad[:, :, 1].abs().sum(dim=(0, 2)) > 0, GRADES >= 0)


def test_grade_logits_loss_without_a_graded_image_is_a_zero_with_its_graph():
    embeddings = random(1, 3, 2, 4).requires_grad_()
    value = GradeLogitsLoss(nn.CrossEntropyLoss())(embeddings, {"severity": torch.full((3,), -1)})
    value.backward()
    assert value == 0
    assert embeddings.grad is not None
    assert not embeddings.grad.any()
