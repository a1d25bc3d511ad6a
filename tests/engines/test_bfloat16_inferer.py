# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import warnings

import pytest
import torch
from monai.inferers import SimpleInferer

from monai_semise.engines import BFloat16Inferer, ViewInferer
from monai_semise.networks import SemiseNet


class Seen(torch.nn.Conv2d):
    """Notes the type in which it computed."""

    def forward(self, image):
        result = super().forward(image)
        self.dtype = result.dtype
        return result


@pytest.mark.parametrize(("enabled", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_computes_in_bfloat16_and_gives_float32(enabled, dtype):
    network = Seen(1, 2, 3)
    result = BFloat16Inferer(SimpleInferer(), enabled)(torch.rand(2, 1, 8, 8), network)
    assert network.dtype == dtype
    assert result.dtype == torch.float32
    result.sum().backward()
    assert network.weight.grad.dtype == torch.float32


def test_is_near_the_full_precision():
    torch.manual_seed(0)
    network = SemiseNet(backbone="resnet10", in_channels=1, embedding_dim=16).eval()
    views = torch.rand(2, 3, 1, 32, 32)
    exact = ViewInferer()(views, network)
    near = BFloat16Inferer(ViewInferer())(views, network)
    assert near.shape == exact.shape
    assert 0 < (near - exact).abs().max() < 0.05 * exact.abs().max()


def test_leaves_an_outer_autocast_alone_when_it_is_off():
    network = Seen(1, 2, 3)
    with torch.autocast("cpu", dtype=torch.float16):
        BFloat16Inferer(SimpleInferer(), enabled=False)(torch.rand(2, 1, 8, 8), network)
    assert network.dtype == torch.float16


@pytest.mark.parametrize(("capability", "n_warnings"), [("AVX2", 1), ("AVX512", 0), ("DEFAULT", 0)])
def test_says_once_that_the_processor_has_no_fast_bfloat16(monkeypatch, capability, n_warnings):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    inferer, network, image = BFloat16Inferer(SimpleInferer()), Seen(1, 2, 3), torch.rand(2, 1, 8, 8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inferer(image, network)
        inferer(image, network)
    assert sum("bf16" in str(warning.message) for warning in caught) == n_warnings


def test_says_nothing_when_it_is_off(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BFloat16Inferer(SimpleInferer(), enabled=False)(torch.rand(2, 1, 8, 8), Seen(1, 2, 3))
