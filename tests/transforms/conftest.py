# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def force(monkeypatch):
    """Let every uniform draw be the lowest (0) or the highest (1) of its range."""

    def force(value):
        monkeypatch.setattr(
            torch, "rand", lambda *shape, **kwargs: torch.full(_shape(shape), value, dtype=torch.float32)
        )

    return force


def _shape(shape):
    return shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
