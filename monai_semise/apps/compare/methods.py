# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from monai_semise.apps.compare.stage_configs import STAGES
from monai_semise.utils import InputError

__all__ = ["ALPHA", "BASELINE_NAMES", "FOREST", "Method", "alpha_methods", "choose_methods", "find_methods"]

FOLDER = "methods"
"""Beside the training bundles."""
ALL = "all"
ALPHA = "semise"
"""The method whose alpha is varied; without an overlay of that name, the pretraining bundle itself."""
FOREST = "thumbnail-forest"
BASELINE_NAMES = ("constant-majority", "stratified-random", FOREST)
"""Rows that every comparison ends with."""


class Method(NamedTuple):
    """A way to pretrain: settings laid over the pretraining bundle.

    Example:
        >>> Method("simclr", Path("bundles/methods/simclr.json")).settings
        {}
    """

    name: str
    overlay: Path | None
    """Config laid over the pretraining bundle; None for the bundle as it is."""
    settings: Mapping[str, str] = {}
    """Of the pretraining bundle, laid over both."""
    description: str = ""
    problem: str = ""
    """Why it cannot run; empty when it can."""


def find_methods(bundles: Path) -> list[Method]:
    """The methods of a folder of bundles: a file each in its ``methods``, called like the file, in alphabetical order.

    One that is not a JSON object is among them, with its problem.

    Raises:
        InputError: when there is none, or one has the name of a baseline or a stage.
    """
    methods = []
    for path in sorted((bundles / FOLDER).glob("*.json")):
        if path.stem in (ALL, *BASELINE_NAMES, *STAGES):
            raise InputError(f"method {path}: the name {path.stem} is taken; call the file something else")
        methods.append(_read_method(path))
    if not methods:
        raise InputError(f"bundles: {bundles / FOLDER} holds no method (*.json); name the folder with --bundles")
    return methods


def choose_methods(names: str, available: Sequence[Method]) -> list[Method]:
    """The methods asked for, in that order.

    Args:
        names: separated by commas, or ``all``.
        available: methods that there are.

    Raises:
        InputError: when one is unknown or has a problem, or none or one twice is named.

    Example:
        >>> known = [Method("simclr", Path("simclr.json")), Method("supcon-2", Path("supcon-2.json"))]
        >>> [method.name for method in choose_methods("supcon-2,simclr", known)]
        ['supcon-2', 'simclr']
    """
    if names.strip() == ALL:
        return list(available)
    known = {method.name: method for method in available}
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if not chosen or len(set(chosen)) < len(chosen):
        raise InputError(f"methods: {names!r} names {'one twice' if chosen else 'none'}; name each once, or give all")
    for name in chosen:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"there are {', '.join(known)}"
            raise InputError(f'methods: unknown method "{name}"; {hint}')
        if known[name].problem:
            raise InputError(known[name].problem)
    return [known[name] for name in chosen]


def alpha_methods(alphas: Sequence[float], available: Sequence[Method]) -> list[Method]:
    """The method of :data:`ALPHA` with each weight of its contrastive term.

    Raises:
        InputError: when an alpha is not in [0, 1].

    Example:
        >>> [method.name for method in alpha_methods([0, 0.25], [])]
        ['semise-alpha-0', 'semise-alpha-0.25']
    """
    for alpha in alphas:
        if not 0 <= alpha <= 1:
            raise InputError(f"alphas: {alpha:g} is not in [0, 1]")
    base = next((method for method in available if method.name == ALPHA), Method(ALPHA, None))
    return [
        base._replace(name=f"{ALPHA}-alpha-{alpha:g}", settings={**base.settings, "alpha": f"{alpha:g}"})
        for alpha in alphas
    ]


def _read_method(path: Path) -> Method:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return Method(path.stem, path, problem=f"method {path}: cannot be read ({error})")
    if not isinstance(content, dict):
        found = type(content).__name__
        return Method(path.stem, path, problem=f"method {path}: expected an object of settings, found {found}")
    return Method(path.stem, path, description=str(content.get("_desc_", "")))
