# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch

import monai_semise.losses.corn as corn
from monai_semise.losses import OrdinalCornLoss
from monai_semise.utils import InputError


def slow_corn(logits, grades):
    """Mean binary cross-entropy over all (image, k) with grade >= k, image by image."""
    total, count = 0.0, 0
    for row, grade in zip(logits.tolist(), grades.tolist()):
        for k, logit in enumerate(row):
            if grade >= k:
                probability = 1 / (1 + torch.tensor(-logit, dtype=torch.float64).exp())
                total -= float((probability if grade > k else 1 - probability).log())
                count += 1
    return total / count


def test_value_and_gradient():
    pytest.importorskip("coral_pytorch")
    logits = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    grades = torch.arange(20) % 4
    loss = OrdinalCornLoss(4)(logits, grades)
    assert float(loss.detach()) == pytest.approx(slow_corn(logits.detach(), grades))
    loss.backward()
    assert (logits.grad != 0).any(dim=0).all()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(corn, "has_coral", False)
    with pytest.raises(InputError, match=r'pip install "monai-semise\[ordinal\]"'):
        OrdinalCornLoss(4)
