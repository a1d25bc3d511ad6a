# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from monai_semise.apps.compare import ComparisonOptions, compare_methods, plan_lines
from monai_semise.apps.compare.scheduler import is_first_process
from monai_semise.utils import InputError

__all__ = ["add_parser", "run"]

EXAMPLES = """examples:
  # all methods on a data set, 5 seeds, three label budgets
  python -m monai_semise compare --datalist idrid.json --methods all --seeds 5 --labelled 0.1,0.25,1.0 \\
      --overlay bundles/fundus.json --set image_size=256 --out results/idrid
  # a small look on a CPU, two methods at once
  python -m monai_semise compare --datalist busi.json --methods semise,simclr,supervised --seeds 3 --labelled 0.25,1 \\
      --set backbone=resnet18 --set image_size=96 --epochs 30 --jobs 2 --out results/busi
Started again, it goes on where it stopped. --dry_run shows what would be run."""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Define ``python -m monai_semise compare``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "compare",
        help="train methods side by side under one budget, and write tables and figures about them",
        description="Train every method under one budget (same encoder, images seen, augmentation, schedule), grade "
        "and segment with the frozen encoders, and write tables with intervals over seeds, figures and one page.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--datalist", type=Path, required=True, metavar="FILE", help="images, grades, masks if any")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where everything goes")
    parser.add_argument(
        "--methods", default="all", help="names separated by commas, of bundles/methods/<name>.json (default all)"
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="runs of each, seeds from 0 (default 5)")
    parser.add_argument(
        "--labelled",
        default="1",
        metavar="SHARES",
        help="label budgets: shares of the training patients that keep their labels, such as 0.1,0.25,1 (default 1)",
    )
    parser.add_argument(
        "--alphas", default="", help="also vary alpha of SEMISE, for Fig. 3, such as 0,0.25,0.5,0.75,1 (default none)"
    )
    parser.add_argument(
        "--tune",
        action="append",
        default=[],
        metavar="NAME=V1,V2",
        help="settings of pretraining that every method tries before its runs, or METHOD/NAME=V1,V2 that one tries in "
        "their place; can be repeated, then every combination is tried. All try as many (default: as shipped)",
    )
    parser.add_argument(
        "--tune_by",
        default=ComparisonOptions.tune_by,
        metavar="MEASURE",
        help=f"of the validation images, by which the best is taken (default {ComparisonOptions.tune_by})",
    )
    parser.add_argument(
        "--beside",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="finished comparisons of other data sets (their --out), whose curves Fig. 3 shows too",
    )
    parser.add_argument(
        "--epochs", type=int, default=20, help="passes over all training images in pretraining (default 20)"
    )
    for stage in ("classification", "segmentation"):
        parser.add_argument(f"--{stage}_epochs", type=int, metavar="EPOCHS", help="default: those of the bundle")
    parser.add_argument("--no-segmentation", action="store_true", help="do not segment, although there are masks")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="setting of every bundle that has it, below the overlays of the methods; or STAGE/NAME=VALUE of one "
        "bundle (pretrain, classification, segmentation), or METHOD/NAME=VALUE of one method's pretraining; can be "
        "repeated",
    )
    parser.add_argument(
        "--overlay",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="config laid over every bundle, such as bundles/fundus.json; can be repeated",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="runs at once (default: one for each GPU, else 1)")
    parser.add_argument(
        "--bundles", type=Path, default=Path("bundles"), help="folder of the shipped configs (default bundles)"
    )
    parser.add_argument(
        "--n_resamples",
        type=int,
        metavar="N",
        help="of the bootstrap by patient (default: 200 for each row of the table, at least 1000)",
    )
    parser.add_argument("--dry_run", action="store_true", help="show what would be run, and do nothing")
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Compare, and say where the page is; or show what would be done."""
    if not is_first_process():
        print("Nothing to do here: the first process of torchrun hands out the runs.", file=sys.stderr)
        return
    options = ComparisonOptions(
        datalist=arguments.datalist,
        out=arguments.out,
        methods=arguments.methods,
        n_seeds=arguments.seeds,
        shares=_numbers(arguments.labelled, "labelled"),
        bundles=arguments.bundles,
        alphas=_numbers(arguments.alphas, "alphas"),
        beside=tuple(arguments.beside),
        tune=tuple(arguments.tune),
        tune_by=arguments.tune_by,
        epochs=arguments.epochs,
        classification_epochs=arguments.classification_epochs,
        segmentation_epochs=arguments.segmentation_epochs,
        settings=tuple(arguments.set),
        overlays=tuple(arguments.overlay),
        segmentation=not arguments.no_segmentation,
        jobs=arguments.jobs,
        n_resamples=arguments.n_resamples,
    )
    if arguments.dry_run:
        for line in plan_lines(options):
            print(line)
        return
    page = compare_methods(options)
    table = options.out / "table1.md"
    print(table.read_text(encoding="utf-8"))
    print(f"Done. Open {page}; tables, figures and comparison.json lie beside it.")


def _numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers separated by commas."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise InputError(f"{option}: {text!r} is not a list of numbers such as 0.25,1") from error
