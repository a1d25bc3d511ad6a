# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch

from monai_semise.losses import rank_n_contrast_loss
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start


def test_learns(tmp_path):
    assert_learns(tmp_path, "rank-n-contrast", epochs=4)


def test_loss_is_on_the_features_of_both_views_and_reaches_every_weight(tmp_path):
    flow = start(tmp_path, "rank-n-contrast", rnc_temperature=0.7, phantoms__unlabelled_fraction=0.4)
    images, target = first_batch(flow)
    assert target["severity"].min() == 0
    value = loss_of(flow, images, target)
    network = part(flow, "network")
    features = network.features(images.flatten(0, 1))
    expected = rank_n_contrast_loss(features, torch.cat([target["severity"], target["severity"]]), 0.7)
    torch.testing.assert_close(value, expected)
    assert silent_gradients(network, value) == []
