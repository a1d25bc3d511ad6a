# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Train a method of ``bundles/methods``, small and in this process, and look at what it learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from scipy.stats import spearmanr
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from monai_semise.engines import embed_images
from monai_semise.networks import SeverityNet
from tests.bundles.harness import ROOT, workflow

METHODS = sorted(file.stem for file in (ROOT / "bundles" / "methods").glob("*.json"))
PHANTOMS: dict[str, Any] = {
    "image_size": 32,
    "batch_size": 32,
    "phantoms__n_training": 240,
    "phantoms__n_validation": 20,
    "phantoms__n_test": 160,
    "phantoms__size": 32,
}
"""What the learning tests train on and probe with."""


def overlay(name: str) -> Path:
    return ROOT / "bundles" / "methods" / f"{name}.json"


def read_overlay(name: str) -> dict[str, Any]:
    return json.loads(overlay(name).read_text(encoding="utf-8"))


def start(folder: Path, name: str, *overlays: Path, **override: Any) -> ConfigWorkflow:
    """The bundle with the method laid over it, small (see ``tests.bundles.harness``) and initialized.

    ``start(...).parser.get_parsed_content(id)`` gives a part, such as ``"network"``; ``train`` runs it.
    """
    flow = workflow(folder, overlay(name), *overlays, **override)
    flow.initialize()
    return flow


def part(flow: ConfigWorkflow, name: str) -> Any:
    """A part of the run, such as ``"network"`` or ``"train::loss"``."""
    return flow.parser.get_parsed_content(name)


def first_batch(flow: ConfigWorkflow) -> tuple[Tensor, dict[str, Tensor]]:
    """Views (V, N, C, *spatial) of the first batch, and its target."""
    batch = next(iter(part(flow, "train::dataloader")))
    return part(flow, "train::prepare_batch")(batch, device=part(flow, "device"))


def loss_of(flow: ConfigWorkflow, images: Tensor, target: dict[str, Tensor]) -> Tensor:
    """The loss of a batch, with its graph, the network in training mode."""
    network = part(flow, "network").train()
    return part(flow, "train::loss")(part(flow, "train::inferer")(images, network), target)


def train(flow: ConfigWorkflow) -> list[float]:
    """Run every phase that the method has, without validation and report.

    Returns:
        mean loss of each epoch of the last phase.
    """
    phases = [phase for phase in ("discriminate", "train") if f"$@{phase}::trainer.run()" in flow.parser.get("run")]
    losses: list[float] = []
    for phase in phases:
        epoch: list[float] = []
        trainer = part(flow, f"{phase}::trainer")
        trainer.add_event_handler(
            Events.ITERATION_COMPLETED,
            lambda engine, epoch=epoch: epoch.append(float(engine.state.output["loss"].detach())),
        )
        trainer.run()
        losses = torch.tensor(epoch).reshape(trainer.state.max_epochs, -1).mean(dim=1).tolist()
    return losses


def silent_gradients(network: nn.Module, loss: Tensor) -> list[str]:
    """Names of the trained parameters that the loss does not reach, or only with zeros."""
    network.zero_grad()
    loss.backward(retain_graph=True)
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.abs().max() > 0)
    ]


def probe(flow: ConfigWorkflow, network: SeverityNet) -> float:
    """Rank correlation with the grade, on test images, of the mean grade of the 5 nearest labelled images.

    Nearest in the frozen features, standardized, by cosine. Few images are labelled, a sixth of the training images at
    a time, the mean of all six taken: a linear probe with many labels reads phantoms off random features, too.
    """
    known, unseen = (
        embed_images(network, part(flow, name), embed=network.features, batch_size=80)
        for name in ("images", "test_dataset")
    )
    graded = known.severity >= 0
    features, grades = known.embeddings[graded].numpy(), known.severity[graded].numpy()
    nearest = make_pipeline(StandardScaler(), KNeighborsRegressor(5, metric="cosine"))
    correlations = []
    for first in range(6):
        nearest.fit(features[first::6], grades[first::6])
        correlations.append(spearmanr(nearest.predict(unseen.embeddings.numpy()), unseen.severity.numpy()).statistic)
    return float(np.mean(correlations))


def probe_before_and_after(folder: Path, name: str, epochs: int, **override: Any) -> tuple[float, float, list[float]]:
    """Train a method on phantoms; see :func:`probe` and :func:`train`.

    Returns:
        what a probe reads from the encoder at random, what it reads after training, and the losses of the epochs.
    """
    settings = {
        **PHANTOMS,
        "train__trainer__max_epochs": epochs,
        "val_interval": epochs + 1,  # never: nothing here needs it
        **override,
    }
    flow = start(folder, name, **settings)
    before = probe(flow, part(flow, "network"))
    losses = train(flow)
    return before, probe(flow, part(flow, "network")), losses


def assert_learns(folder: Path, name: str, epochs: int, **override: Any) -> None:
    """The loss of the method falls, and its frozen features tell more of the grade than those of a random encoder."""
    before, after, losses = probe_before_and_after(folder, name, epochs, **override)
    assert losses[-1] < losses[0]
    assert after > before + 0.05
