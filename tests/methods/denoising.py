# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What the methods that denoise have alike."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from tests.methods.harness import first_batch, loss_of, part, probe_before_and_after, silent_gradients, start, train


def silent_after_a_step(flow: ConfigWorkflow) -> list[str]:
    """As :func:`tests.methods.harness.silent_gradients`, after one step: before it, MONAI's blocks are identities."""
    images, _ = first_batch(flow)
    network, optimizer = part(flow, "network"), part(flow, "train::optimizer")
    loss_of(flow, images, {}).backward()
    for group in optimizer.param_groups:
        group["lr"] = 0.1  # not yet that of the warm-up
    optimizer.step()
    return silent_gradients(network, loss_of(flow, images, {}))


def assert_frozen_features_beat_random_ones(folder: Path, name: str, epochs: int, **override: Any) -> None:
    """Over three seeds: one gains between 0.03 and 0.1, which is little beside the noise of the probe."""
    gains = []
    for seed in range(3):
        before, after, _ = probe_before_and_after(folder / str(seed), name, epochs, seed=seed, **override)
        gains.append(after - before)
    assert statistics.mean(gains) > 0.02, gains


def assert_loss_falls(folder: Path, name: str) -> None:
    """The loss of the method falls on phantoms."""
    losses = train(
        start(folder, name, denoiser_channels=[8, 8], embedding_dim=48, train__trainer__max_epochs=4, val_interval=5)
    )
    assert losses[-1] < 0.6 * losses[0]
