# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_semise.utils import batch_norms, norm_momentum


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, momentum=0.3), nn.ReLU(), nn.SyncBatchNorm(2))


def test_batch_normalizations_of_every_kind_are_found() -> None:
    net = network()
    assert batch_norms(net) == [net[1], net[3]]


def test_momentum_one_takes_the_statistics_of_the_batch() -> None:
    norm, image = nn.BatchNorm2d(2), torch.randn(4, 2, 5, 5)
    with norm_momentum(norm, 1.0):
        norm(image)
    torch.testing.assert_close(norm.running_mean, image.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, torch.stack([image[:, c].var() for c in range(2)]))


def test_momentum_zero_keeps_the_statistics() -> None:
    norm = nn.BatchNorm2d(2)
    with norm_momentum(norm, 0.0):
        norm(torch.randn(4, 2, 5, 5))
    assert torch.equal(norm.running_mean, torch.zeros(2))
    assert torch.equal(norm.running_var, torch.ones(2))


def test_own_momentum_is_back_after_an_error() -> None:
    net = network()
    with pytest.raises(RuntimeError, match="out of memory"), norm_momentum(net, 1.0):
        raise RuntimeError("out of memory")
    assert [norm.momentum for norm in batch_norms(net)] == [0.3, 0.1]
