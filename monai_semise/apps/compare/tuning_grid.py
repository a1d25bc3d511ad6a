# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from fire.parser import DefaultParseValue

from monai_semise.apps.compare.methods import Method
from monai_semise.utils import InputError

__all__ = ["settings_as_text", "tuning_grid"]

Candidate = dict[str, str]


def tuning_grid(given: Sequence[str], methods: Sequence[Method]) -> dict[str, list[Candidate]]:
    """The settings that each method tries: every combination of the values given, the first option varying slowest.

    Args:
        given: ``name=value,value,...`` for all methods, or ``method/name=value,value,...`` for one, which replaces the
            values for all.
        methods: to tune.

    Returns:
        candidates of each method: settings of the pretraining bundle, as text. As many for each method.

    Raises:
        InputError: when one cannot be read, or the methods would try different numbers of candidates.

    Example:
        >>> methods = [Method("simclr", None), Method("corn", None)]
        >>> tuning_grid(["head_lr=0.01,0.05", "simclr/head_lr=0.02,0.1"], methods)["simclr"]
        [{'head_lr': '0.02'}, {'head_lr': '0.1'}]
    """
    known = [method.name for method in methods]
    common: dict[str, list[str]] = {}
    own: dict[str, dict[str, list[str]]] = {name: {} for name in known}
    for text in given:
        left, equals, right = text.partition("=")
        method, slash, name = left.strip().rpartition("/")
        if slash and method not in own:
            raise InputError(f"tune: {text!r} names no method of this comparison; they are {', '.join(known)}")
        name = name.replace("#", "::")
        taker = own[method] if slash else common
        if not (name and equals):
            raise InputError(f"tune: {text!r} is not name=value,value")
        if name in taker:
            raise InputError(f"tune: {left.strip()} is given twice; name all its values in one")
        taker[name] = _values(right, text)
    grids = {method: _combinations({**common, **mine}) for method, mine in own.items()}
    numbers = {method: len(candidates) for method, candidates in grids.items()}
    if len(set(numbers.values())) > 1:
        said = ", ".join(f"{method} {number}" for method, number in numbers.items())
        raise InputError(f"tune: every method must try as many candidates as any other, but there are for {said}")
    return grids


def settings_as_text(settings: Mapping[str, str]) -> str:
    """As they would be typed.

    Example:
        >>> settings_as_text({"head_lr": "0.02", "alpha": "0.5"})
        'head_lr=0.02 alpha=0.5'
    """
    return " ".join(f"{name}={value}" for name, value in settings.items())


def _values(text: str, given: str) -> list[str]:
    parsed: Any = DefaultParseValue(text)  # a tuple of Python's literals, unless one is a reference or an expression
    parts = text.split(",") if isinstance(parsed, str) else parsed if isinstance(parsed, tuple) else [parsed]
    values = [part.strip() if isinstance(part, str) else repr(part) for part in parts]
    if "" in values or len(set(values)) < len(values):
        raise InputError(f"tune: {given!r} has an empty value, or one twice")
    return values


def _combinations(values: Mapping[str, Sequence[str]]) -> list[Candidate]:
    return [dict(zip(values, chosen)) for chosen in itertools.product(*values.values())]
