# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine

from monai_semise.handlers import HealthyReferenceHandler
from monai_semise.networks import SemiseNet


@pytest.mark.parametrize(
    ("limit", "taken"),
    [(None, [0, 2, 4, 6, 8]), (5, [0, 2, 4, 6, 8]), (3, [0, 4, 8]), (2, [0, 6]), (1, [0])],
)
def test_reference_is_refreshed_before_a_validation_from_evenly_spaced_healthy_images(limit, taken):
    torch.manual_seed(0)
    network = SemiseNet("resnet10", embedding_dim=8)
    data = [{"image": torch.rand(1, 32, 32), "severity": n % 2, "index": n} for n in range(10)]
    healthy = [n for n in range(10) if n % 2 == 0]
    evaluator = Engine(lambda engine, batch: None)
    HealthyReferenceHandler(network, data, healthy, limit=limit, batch_size=2).attach(evaluator)
    network.train()
    evaluator.run([0])
    assert network.training
    network.eval()
    with torch.inference_mode():
        expected = network(torch.stack([data[n]["image"] for n in taken]))[:, 0].mean(dim=0)
    assert torch.allclose(network.healthy_reference, expected, atol=1e-5)
