# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from monai_semise.apps.datasets import SOURCES
from monai_semise.apps.datasets.build import SPLITS, DatalistOptions, build_datalist
from monai_semise.apps.datasets.earlier_datalist import EarlierDatalist
from monai_semise.apps.datasets.output_files import OutputFiles
from monai_semise.data import load_datalist
from monai_semise.data.collection import Problem
from monai_semise.data.datalist import SECTIONS, UNGRADED
from monai_semise.utils import InputError, printable

__all__ = ["add_parser", "run", "summary_table"]

SETTINGS = ("validation", "test", "split", "labelled", "seed")
SHOWN_PER_KIND = 10


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Define ``python -m monai_semise datalist``, with one sub-command for each source."""
    parser = subparsers.add_parser(
        "datalist",
        help="read, check and split a data set as it lies on disk",
        description="Read a data set in its original layout, check every image, split it by patient and write a "
        "datalist. Images with a problem are listed and left out.",
    )
    sources = parser.add_subparsers(title="sources", metavar="<source>", required=True)
    for name, source in SOURCES.items():
        scale = f"Grades, the mildest first: {', '.join(source.grades)}." if source.grades else ""
        sub = sources.add_parser(
            name,
            help=source.title.replace("%", "%%"),
            description=f"{inspect.cleandoc(source.__doc__ or '')}\n\n{scale}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.add_argument("--root", type=Path, required=True, help="folder (or file) of the data set")
        sub.add_argument("--out", type=Path, required=True, help="datalist to write (JSON)")
        sub.add_argument("--strict", action="store_true", help="fail, and write nothing, when any image has a problem")
        sub.add_argument(
            "--split",
            choices=SPLITS,
            default="official",
            help="follow the published split where there is one (default), or draw anew",
        )
        for section in ("validation", "test"):
            share = getattr(source, section)
            sub.add_argument(
                f"--{section}",
                type=float,
                default=share,
                metavar="SHARE",
                help=f"share of all labelled images, where no {section} split is published (default {share})",
            )
        sub.add_argument(
            "--labelled",
            type=float,
            default=1.0,
            metavar="SHARE",
            help="share of the training patients that keep their grades and masks, the others become unlabelled; "
            "smaller shares lie inside larger ones (default 1)",
        )
        sub.add_argument("--seed", type=int, default=0, help="of what is drawn (default 0)")
        sub.add_argument(
            "--resplit",
            action="store_true",
            help="draw the split anew although --out exists; otherwise its patients stay where they are",
        )
        sub.add_argument("--num_workers", type=int, default=0, metavar="N", help="processes that read the images")
        own = sub.add_argument_group(f"options of {name}")
        source.add_arguments(own)
        sub.set_defaults(source=source, own_options=[action.dest for action in own._group_actions])
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Write the datalist and print its summary."""
    root, out = (Path(os.path.abspath(path)) for path in (arguments.root, arguments.out))
    if not root.exists():
        raise InputError(f"--root: {root} does not exist; give the folder into which the data set was unpacked")
    if out.suffix.lower() != ".json" or out.is_dir():
        raise InputError(f"--out: {out} must be a file that ends in .json")
    if arguments.num_workers < 0:
        raise InputError(f"--num_workers: {arguments.num_workers} is negative; 0 reads the images in this process")
    settings = {name: getattr(arguments, name) for name in SETTINGS}
    own = {name: getattr(arguments, name) for name in arguments.own_options}
    source = arguments.source(**own)
    made_by = {"name": source.name, **settings, "options": _as_json(own, root)}
    options = DatalistOptions(**settings)
    earlier = _read_earlier(out, arguments.resplit)
    if earlier is not None and not arguments.resplit:
        earlier.check_made_like(made_by)
    with OutputFiles.open(out, None if earlier is None else earlier.folder) as output:
        collection = source.read(root, output.work)
        output.check_folder()
        if output.work.exists():
            made_by["files"] = output.folder.name
        sections = {} if earlier is None or arguments.resplit else earlier.sections
        datalist = build_datalist(
            collection,
            options,
            {output.in_work(image): section for image, section in sections.items()},
            (output.work, root),
            arguments.num_workers,
        )
        problems = output.moved(collection.problems)
        _print_problems(problems)
        if arguments.strict and problems:
            raise InputError(f"{len(problems)} image(s) of {root} have a problem (--strict), nothing was written")
        if not any(datalist[section] for section in SECTIONS):
            raise InputError(f"{root}: no usable image was found, nothing was written")
        datalist = {**output.moved(datalist), "source": made_by}
        output.write(datalist, problems)
    _print_summary(out, datalist, collection.notes)


def summary_table(datalist: Mapping[str, Any]) -> pd.DataFrame:
    """Images, grades, patients and masks in each section of a datalist.

    Args:
        datalist: content of a datalist file, or what :func:`monai_semise.data.load_datalist` returns.

    Returns:
        one row a section and a last row of totals.

    Example:
        >>> items = [{"image": "a.png", "severity": 0}, {"image": "b.png", "severity": 1, "group": "p"}]
        >>> print(summary_table({"training": items, "grades": ["healthy", "ill"]}).loc["training"].to_dict())
        {'images': 2, 'healthy': 1, 'ill': 1, 'ungraded': 0, 'patients': 2, 'masks': 0}
    """
    names = [str(name) for name in datalist.get("grades", [])]
    rows = []
    for section in (*SECTIONS, "all"):
        items = [item for name in SECTIONS if section in (name, "all") for item in datalist.get(name, [])]
        count = Counter(item.get("severity", UNGRADED) for item in items)
        patients = {item.get("group", item["image"]) for item in items}
        n_masks = sum(item.get("mask") is not None for item in items)
        grades = [count[grade] for grade in range(len(names))]
        rows.append([len(items), *grades, count[UNGRADED], len(patients), n_masks])
    return pd.DataFrame(rows, [*SECTIONS, "all"], ["images", *names, "ungraded", "patients", "masks"])


def _read_earlier(out: Path, resplit: bool) -> EarlierDatalist | None:
    try:
        return EarlierDatalist.read(out)
    except InputError:
        if resplit:
            return None
        raise


def _as_json(value: Any, root: Path) -> Any:
    """Values of options, without the place of the data set on this machine."""
    if isinstance(value, dict):
        return {key: _as_json(entry, root) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(entry, root) for entry in value]
    if isinstance(value, (str, Path)):
        path = Path(value)
        if path.is_absolute() and os.path.exists(path):
            return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def _print_problems(problems: Sequence[Problem]) -> None:
    for kind, count in Counter(problem.kind for problem in problems).items():
        print(f"{kind}: {count} image(s) left out", file=sys.stderr)
        of_kind = [problem for problem in problems if problem.kind == kind]
        for problem in of_kind[:SHOWN_PER_KIND]:
            print(f"    {printable(problem.image)}: {printable(problem.detail)}", file=sys.stderr)
        if count > SHOWN_PER_KIND:
            print(f"    and {count - SHOWN_PER_KIND} more", file=sys.stderr)


def _print_summary(out: Path, datalist: Mapping[str, Any], notes: Sequence[str]) -> None:
    print(summary_table(datalist).rename(columns=printable).to_string())
    for note in notes:
        print(f"Note: {printable(note)}.")
    try:
        load_datalist(out)
    except InputError as error:
        print(f"Note: not ready for pretraining: {printable(error)}.")
    print(f"Wrote {printable(out)}")
