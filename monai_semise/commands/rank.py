# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from monai.bundle import ConfigWorkflow

from monai_semise.apps import read_run_settings
from monai_semise.utils import InputError

__all__ = ["add_parser", "run"]

CONFIGS = {
    "semise_pretrain": Path("bundles") / "semise_severity_inference.json",
    "semise_classification": Path("bundles") / "semise_classification_inference.json",
}
"""Inference bundle, by the bundle of the training run."""
SHOWN = ("rank", "score", "position", "low", "high", "grade", "image")


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Define ``python -m monai_semise rank``."""
    parser = subparsers.add_parser(
        "rank",
        help="score images with a trained network and order them, the most severe first",
        description="Score images with a trained network and write a worklist, the most severe first, with a page to "
        "read. Short for a run of the inference bundle, which has more settings.",
    )
    parser.add_argument("input", help="folder, image, text file with a path a line, or datalist (JSON)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the files go")
    parser.add_argument(
        "--run_dir",
        type=Path,
        default=Path("runs") / "semise_pretrain",
        help="output folder of a run of semise_pretrain or semise_classification (default runs/semise_pretrain)",
    )
    parser.add_argument(
        "--config_file",
        type=Path,
        help=f"inference bundle (default {' or '.join(map(str, CONFIGS.values()))}, by the run)",
    )
    parser.add_argument("--num_workers", type=int, default=0, metavar="N", help="processes that read images")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="rows of the worklist to print (default 10)")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Write the worklist and print its head."""
    config_file = arguments.config_file or _config_of(arguments.run_dir)
    if not config_file.is_file():
        raise InputError(f"--config_file: {config_file} does not exist; name the inference bundle")
    workflow = ConfigWorkflow(
        str(config_file),
        workflow_type="infer",
        input=arguments.input,
        output_dir=str(arguments.out),
        run_dir=str(arguments.run_dir),
        num_workers=arguments.num_workers,
    )
    workflow.initialize()
    workflow.run()
    worklist = pd.read_csv(arguments.out / "worklist.csv", dtype=str, keep_default_na=False, nrows=arguments.top)
    print(worklist.loc[:, list(SHOWN)].to_string(index=False))


def _config_of(run_dir: Path) -> Path:
    bundle = read_run_settings(run_dir)["bundle"]
    if bundle not in CONFIGS:
        raise InputError(f"--run_dir: {run_dir} is a run of {bundle}, which gives no severity to order images by")
    return CONFIGS[bundle]
