# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Small runs to pack."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow

from monai_semise.apps.run_settings import write_run_settings
from monai_semise.networks import SemiseNet, build_encoder
from monai_semise.utils import save_checkpoint
from tests.bundles import harness

BUNDLES = harness.ROOT / "bundles"
COMMON = {name: value for name, value in harness.SMALL.items() if name.startswith("phantoms")}
COMMON |= {
    "backbone": "resnet10",
    "image_size": 32,
    "batch_size": 10,
    "train::trainer::max_epochs": 1,
    "n_resamples": 20,
}


def pretraining(folder: Path) -> Path:
    """Output folder of a pretraining run under ``folder``, with all terms of the loss."""
    terms = {"grade_weight": 1.0, "ordinal_weight": 1.0}
    return harness.run(folder, train__trainer__max_epochs=1, n_resamples=20, **terms)


def classification(folder: Path, *overlays: str) -> Path:
    """Output folder of a classification run under ``folder``."""
    return _downstream(folder, "semise_classification", *overlays, hidden_channels=[16, 8], head_lr=0.03)


def segmentation(folder: Path, *overlays: str, **settings: Any) -> Path:
    """Output folder of a segmentation run under ``folder``."""
    return _downstream(folder, "semise_segmentation", *overlays, decoder_channels=[16, 16, 8, 8, 8], **settings)


def _downstream(folder: Path, name: str, *overlays: str, **settings: Any) -> Path:
    torch.manual_seed(7)  # not the run's seed, which would give these weights again
    save_checkpoint(folder / "encoder.pt", build_encoder("resnet10")[0].state_dict())
    flow = ConfigWorkflow(
        [str(BUNDLES / f"{config}.json") for config in (name, *overlays)],
        logging_file=False,
        workflow_type="train",
        encoder=str(folder / "encoder.pt"),
        dataset_dir=str(folder / "data"),
        output_dir=str(folder / "run"),
        **COMMON,
        **settings,
    )
    flow.initialize()
    flow.run()
    return folder / "run"


def untrained(folder: Path, **settings: Any) -> Path:
    """A folder like that of a pretraining run, with a network that has only seen noise."""
    shown = {
        "backbone": "resnet10",
        "spatial_dims": 2,
        "in_channels": 1,
        "embedding_dim": 16,
        "separate_heads": False,
        "n_grades": None,
    }
    shown |= {name: settings[name] for name in shown if name in settings}
    torch.manual_seed(0)
    network = SemiseNet(**shown)
    with torch.no_grad():
        network(torch.rand(4, shown["in_channels"], *[32] * shown["spatial_dims"]))  # statistics of batch norm
    network.set_healthy_reference(torch.rand(shown["embedding_dim"]))
    save_checkpoint(folder / "model.pt", network.state_dict())
    embedding = torch.rand(3, shown["embedding_dim"])
    known = {"images": ["a.png", "b.png", "c.png"], "severity": torch.tensor([0, 0, 1]), "embedding": embedding}
    save_checkpoint(folder / "training_embeddings.pt", known)
    given = {
        "bundle": "semise_pretrain",
        "image_size": 32,
        "mammography": False,
        "local_contrast": False,
        "grade_names": ["healthy", "ill"],
    }
    write_run_settings(folder, {**given, **shown, **settings})
    return folder


def bundles_without(folder: Path, name: str) -> Path:
    """A copy of the shipped configs that lacks one."""
    shutil.copytree(BUNDLES, folder)
    (folder / name).unlink()
    return folder
