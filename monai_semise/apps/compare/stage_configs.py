# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser

from monai_semise.apps.compare.digest import short_digest
from monai_semise.bundle import unknown_settings
from monai_semise.utils import InputError

__all__ = ["STAGES", "changes_results", "config_digest", "read_stage_config", "settings_of_stages"]

STAGES = {
    "pretrain": "semise_pretrain.json",
    "classification": "semise_classification.json",
    "segmentation": "semise_segmentation.json",
}
"""The bundle of each stage of a run."""
RESERVED = {
    "output_dir": "--out",
    "datalist": "--datalist",
    "seed": "--seeds",
    "encoder": "",
    "select": "",
    "resume": "",
    "discriminate::trainer::max_epochs": "--epochs",
    "train::trainer::max_epochs": "--epochs, --classification_epochs and --segmentation_epochs",
}
"""Settings that the comparison gives itself, and by which option."""
FASTER = ("num_workers", "cache_rate")
"""Settings, of a bundle or of one of its parts, that change how fast a run is and nothing else."""


def read_stage_config(files: Sequence[Path], settings: Mapping[str, str] | None = None) -> ConfigParser:
    """A bundle with its overlays and settings, not yet instantiated.

    Raises:
        InputError: when a file is missing or cannot be laid over the others, or a setting is unknown.
    """
    named = " with ".join(map(str, files))
    for file in files:
        if not file.is_file():
            raise InputError(f"config file {file}: does not exist; name the folder of the bundles with --bundles")
    parser = ConfigParser()
    try:
        parser.read_config([str(file) for file in files])
        parser.parse()
        known = set(parser.ref_resolver.items)
        for name, value in (settings or {}).items():
            parser.set(DefaultParseValue(value), name)
    except (LookupError, TypeError, ValueError) as error:  # LookupError: an overlay of something that it has not
        raise InputError(f"config file {named}: cannot be used ({error})") from error
    problems = unknown_settings(parser.get(), known)
    if problems:
        raise InputError("; ".join(problems))
    return parser


def settings_of_stages(
    given: Sequence[str], files: Mapping[str, Sequence[Path]], option: str = "set"
) -> dict[str, dict[str, str]]:
    """Which stage takes which of the settings given.

    Args:
        given: ``name=value`` for all stages that have such a setting, or ``stage/name=value`` for one.
        files: config files of each stage.
        option: what to call it in an error.

    Returns:
        settings of each stage, as text.

    Raises:
        InputError: when no stage has the setting, the comparison gives it itself, or it has no value.
    """
    taken: dict[str, dict[str, str]] = {stage: {} for stage in files}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().replace("#", "::")
        stage, slash, inner = name.partition("/")
        if slash and stage not in STAGES:
            raise InputError(f"{option}: {text!r} names no stage; the stages are {', '.join(STAGES)}")
        chosen, name = ([stage], inner) if slash else (list(files), name)
        if not name or not equals:
            raise InputError(f"{option}: {text!r} is not name=value")
        if name in RESERVED:
            hint = f"; give {RESERVED[name]}" if RESERVED[name] else ""
            raise InputError(f"{option}: {name} is the same for every method and set by the comparison{hint}")
        takers = [entry for entry in chosen if entry in files and _takes(files[entry], name, value)]
        if not takers:
            known = {key for entry in files.values() for key in read_stage_config(entry).get() if key[0] != "_"}
            close = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise InputError(f'{option}: no bundle has a setting "{name}"{hint}')
        for entry in takers:
            taken[entry][name] = value
    return taken


def config_digest(files: Sequence[Path]) -> str:
    """What the files say, but for comments and what changes no result, as one short text."""
    return short_digest([_telling(ConfigParser.load_config_file(file)) for file in files])


def changes_results(name: str) -> bool:
    """Whether a run with another value of the setting may come to other results.

    Example:
        >>> changes_results("image_size"), changes_results("train::dataloader::num_workers")
        (True, False)
    """
    return name.replace("#", "::").rpartition("::")[2] not in FASTER


def _takes(files: Sequence[Path], name: str, value: str) -> bool:
    try:
        read_stage_config(files, {name: value})
    except InputError:
        return False
    return True


def _telling(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _telling(value) for key, value in content.items() if key != "_desc_" and changes_results(key)}
    return [_telling(value) for value in content] if isinstance(content, list) else content
