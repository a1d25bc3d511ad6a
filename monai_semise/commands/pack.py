# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from monai_semise.apps.pack import EXPORTS, pack_run

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Define ``python -m monai_semise pack``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "pack",
        help="make a MONAI bundle folder of a training run",
        description="Make a bundle folder of a finished training run, to hand on, to load with monai.bundle.load, or "
        "to offer to the Model Zoo. It names no file of this machine.",
    )
    parser.add_argument("--run_dir", type=Path, required=True, help="output folder of the training run")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the bundle folder is made")
    parser.add_argument(
        "--export",
        nargs="+",
        choices=tuple(EXPORTS),
        default=[],
        help="write the network as TorchScript or ONNX too (ONNX needs the extra monai-semise[onnx])",
    )
    parser.add_argument(
        "--bundles", type=Path, default=Path("bundles"), help="folder of the shipped configs (default bundles)"
    )
    parser.add_argument("--version", default="0.1.0", help="of the bundle (default 0.1.0)")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Make the folder and say where it is."""
    folder = pack_run(arguments.run_dir, arguments.out, arguments.bundles, arguments.version, arguments.export)
    quoted = shlex.quote(str(folder))
    config = shlex.quote(str(folder / "configs" / "inference.json"))
    print(f"Packed {folder}")
    print(f"Try it: python -m monai.bundle run --config_file {config} --bundle_root {quoted} --input <images>")
