# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigComponent, ConfigItem, ConfigParser

from monai_semise.bundle import unknown_settings
from monai_semise.data import PreparedDataset
from monai_semise.utils import InputError, find_semise_error

__all__ = ["add_parser", "run"]

CONFIG = Path("bundles") / "semise_pretrain.json"
OVERLAY = "prepared.json"


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Define ``python -m monai_semise prepare``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "prepare",
        help="decode and preprocess all images once, for fast training",
        usage="%(prog)s --out FOLDER [--datalist FILE] [--config_file FILE [FILE ...]] [--num_workers N] "
        "[--<setting of the config> VALUE ...]",
        description="Decode and preprocess all images once, as a bundle does, into arrays that training reads. Started "
        "again, it decodes only what is new or changed. Settings of the bundle, such as --image_size or --in_channels, "
        "are given as for training.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the arrays go")
    parser.add_argument("--datalist", type=Path, metavar="FILE", help="images to prepare (default: that of the config)")
    parser.add_argument(
        "--config_file",
        type=Path,
        nargs="+",
        default=[CONFIG],
        metavar="FILE",
        help=f"config of the bundle and overlays; {OVERLAY} beside it is added unless they prepare images themselves "
        f"(default: {CONFIG.as_posix()})",
    )
    parser.add_argument(
        "--num_workers", type=int, metavar="N", help="processes that decode (default: one for every processor)"
    )
    parse = parser.parse_known_args

    def parse_with_settings(args: Any = None, namespace: Any = None) -> tuple[argparse.Namespace, list[str]]:
        # which settings there are is known when the config has been read
        namespace, namespace.settings = parse(args, namespace)
        return namespace, []

    parser.parse_known_args = parse_with_settings  # type: ignore[method-assign]
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Prepare the images and print how to train from them.

    Raises:
        InputError: when a file or a setting cannot be used, or images could not be prepared; all others are kept.
    """
    overrides = _read_settings(arguments.settings)
    if arguments.datalist is not None:
        overrides["datalist"] = str(arguments.datalist)
    overrides["prepared_dir"] = str(arguments.out)
    files = list(arguments.config_file)
    parser = _read_config(files)
    if not _prepared_datasets(parser):
        files.append(files[0].parent / OVERLAY)
        overlaid = _read_config(files)
        strange = [name for name in _prepared_datasets(overlaid) if name not in parser]
        if strange:
            raise InputError(
                f"{files[0]}: has no {strange[0]}, so {files[-1]} is not its overlay; name the one of this bundle with "
                f"--config_file {files[0]} <overlay>"
            )
        parser = overlaid
    workers = {} if arguments.num_workers is None else {"prepare_workers": arguments.num_workers}
    _override(parser, {**overrides, **workers})

    start = time.perf_counter()
    datasets: list[PreparedDataset] = []
    errors: list[str] = []
    for name in _prepared_datasets(parser):
        try:
            datasets.append(parser.get_parsed_content(name))
        except Exception as error:  # the other sections are prepared all the same
            known = find_semise_error(error)
            if known is None:
                raise
            errors.append(str(known))
    if errors:
        raise InputError("; ".join(dict.fromkeys(errors)))
    print(_summary(datasets, arguments.out, time.perf_counter() - start))
    print(f"Train from them with\n  {_training_command(files, overrides)}")


def _read_settings(options: Sequence[str]) -> dict[str, Any]:
    """Settings of options as typed, ``["--alpha", "0.5"]`` or ``["--alpha=0.5"]``, read as MONAI's own command does."""
    settings: dict[str, Any] = {}
    rest = list(options)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if not option.startswith("--"):
            raise InputError(f"{option}: expected a setting, --name value")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise InputError(f"{option}: has no value")
            value = rest.pop(0)
        settings[option[2:]] = DefaultParseValue(value)
    return settings


def _read_config(files: Sequence[Path]) -> ConfigParser:
    for file in files:
        if not file.is_file():
            raise InputError(f"config file {file}: does not exist; give --config_file, or start in the checkout")
    parser = ConfigParser()
    try:
        parser.read_config([str(file) for file in files])
    except (ValueError, KeyError) as error:  # KeyError: an overlay of something that the config has not
        raise InputError(f"config file {' with '.join(map(str, files))}: cannot be read ({error})") from error
    return parser


def _override(parser: ConfigParser, overrides: Mapping[str, Any]) -> None:
    """Set settings, and refuse those that nothing uses."""
    known = set(_items(parser))
    for name, value in overrides.items():
        try:
            parser.set(value, name)
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(f'unknown setting "{name}"') from error
    problems = unknown_settings(parser.get(), known)
    if problems:
        raise InputError("; ".join(problems))


def _prepared_datasets(parser: ConfigParser) -> list[str]:
    """Ids of the prepared datasets of a config."""
    components = {key: item for key, item in _items(parser).items() if isinstance(item, ConfigComponent)}
    targets = {key: str(item.get_config()["_target_"]) for key, item in components.items()}
    return [key for key, target in targets.items() if target.rpartition(".")[2] == PreparedDataset.__name__]


def _items(parser: ConfigParser) -> dict[str, ConfigItem]:
    """Everything in a config, by id."""
    parser.parse()
    return parser.ref_resolver.items


def _summary(datasets: Sequence[PreparedDataset], folder: Path, seconds: float) -> str:
    images, prepared = sum(map(len, datasets)), sum(dataset.prepared for dataset in datasets)
    size = sum(file.stat().st_size for file in folder.iterdir())
    where = f"{folder} ({size / 1e6:.1f} MB)"
    if not prepared:
        return f"Nothing to do: all {images} images are in {where}."
    return (
        f"{prepared} of {images} images prepared in {seconds:.1f} s ({prepared / seconds:.0f} images/s); "
        f"all are in {where}."
    )


def _training_command(files: Sequence[Path], overrides: Mapping[str, Any]) -> str:
    listed = ",".join(f"'{file.as_posix()}'" for file in files)
    settings = " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in overrides.items())
    return f'python -m monai.bundle run --config_file "[{listed}]" {settings}'
