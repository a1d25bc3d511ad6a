# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Run the shipped bundle, small: a ResNet-10 on a few 32 px phantoms."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "bundles" / "semise_pretrain.json"
SMALL: dict[str, Any] = {
    "backbone": "resnet10",
    "image_size": 32,
    "embedding_dim": 16,
    "batch_size": 12,
    "phantoms::n_training": 40,
    "phantoms::n_validation": 15,
    "phantoms::n_test": 10,
    "phantoms::size": 32,
    "n_validation_pairs": 50,
    "discriminate::trainer::max_epochs": 1,
    "train::trainer::max_epochs": 2,
}


def small_settings(folder: Path, **override: Any) -> dict[str, Any]:
    """Settings of a small run under ``folder``; ``__`` in a name stands for ``::``."""
    given = {name.replace("__", "::"): value for name, value in override.items()}
    return {**SMALL, "output_dir": str(folder / "run"), "dataset_dir": str(folder / "data"), **given}


def workflow(folder: Path, *overlays: Path, **override: Any) -> ConfigWorkflow:
    """The bundle as a workflow of this process, not yet initialized."""
    files = [str(file) for file in (CONFIG, *overlays)]
    return ConfigWorkflow(files, logging_file=False, workflow_type="train", **small_settings(folder, **override))


def run(folder: Path, *overlays: Path, **override: Any) -> Path:
    """Run the bundle in this process.

    Returns:
        its output folder.
    """
    flow = workflow(folder, *overlays, **override)
    flow.initialize()
    flow.run()
    flow.finalize()
    return folder / "run"


def command(folder: Path, *overlays: Path, **override: Any) -> list[str]:
    """The command line of a small run, as a user would type it."""
    files = [str(file) for file in (CONFIG, *overlays)]
    options = [part for name, value in small_settings(folder, **override).items() for part in (f"--{name}", str(value))]
    return [sys.executable, "-m", "monai.bundle", "run", "--config_file", json.dumps(files), *options]


def run_command(folder: Path, *overlays: Path, env: dict[str, str] | None = None, **override: Any):
    """Run the bundle as a process of its own, from a folder that is not the checkout."""
    return subprocess.run(
        command(folder, *overlays, **override),
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def weights(file: Path) -> dict[str, torch.Tensor]:
    """A flat dictionary of weights."""
    return torch.load(file, weights_only=True)
