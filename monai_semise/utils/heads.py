# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Where each head lies on the head axis of the network's output (N, H, D) and of the losses' input (V, N, H, D)."""

from __future__ import annotations

__all__ = ["CONTRAST", "PREFERENCE", "PROJECTION", "THRESHOLDS"]

PROJECTION = 0  # g(f(x)): phase 1, and the healthy reference
PREFERENCE = 1  # h(g(f(x))): compared with the healthy reference
THRESHOLDS = 2  # K - 1 ordinal logits, then zeros, where the network has been told the number of grades K
CONTRAST = -1  # NT-Xent; the preference head itself unless the network has separate heads
