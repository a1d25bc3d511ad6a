# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai.bundle import ConfigParser

from monai_semise.apps.compare.methods import ALPHA, Method, choose_methods
from monai_semise.apps.compare.options import ComparisonOptions
from monai_semise.apps.compare.stage_configs import STAGES, read_stage_config, settings_of_stages
from monai_semise.utils import InputError

__all__ = ["check_own_settings", "give_own_settings", "pretrain_files", "settings_apart", "settings_reaching"]


def give_own_settings(
    options: ComparisonOptions, available: Sequence[Method]
) -> tuple[ComparisonOptions, list[Method]]:
    """Give each method the settings that are for it alone (``method/name=value``).

    Returns:
        the options without them, and the methods with them.

    Raises:
        InputError: when a method is not part of the comparison, or its config has no such setting.
    """
    trained = [method.name for method in choose_methods(options.methods, available)]
    if options.alphas and ALPHA not in trained:
        trained += [method.name for method in available if method.name == ALPHA]
    common: list[str] = []
    own: dict[str, dict[str, str]] = {}
    for text in options.settings:
        left, equals, value = text.partition("=")
        taker, slash, name = left.strip().partition("/")
        if not slash or taker in STAGES:
            common.append(text)
        elif taker not in trained:
            raise InputError(
                f"set: {text!r} names no stage and no method of this comparison; the stages are {', '.join(STAGES)}, "
                f"the methods {', '.join(trained)}"
            )
        elif not (name and equals):
            raise InputError(f"set: {text!r} is not name=value")
        else:
            own.setdefault(taker, {})[name.replace("#", "::")] = value
    methods = [method._replace(settings=own.get(method.name, {})) for method in available]
    for method in methods:
        check_own_settings(options, method, method.settings, "set")
    return dataclasses.replace(options, settings=tuple(common)), methods


def check_own_settings(options: ComparisonOptions, method: Method, settings: Mapping[str, str], option: str) -> None:
    """Check that a method has these settings.

    Raises:
        InputError: when it has not, or the comparison gives one itself.
    """
    if not settings or method.problem:
        return
    files = pretrain_files(options, method)
    try:
        read_stage_config(files)
    except InputError:  # one bad method must not keep the others from running; its stages tell of it
        return
    settings_of_stages([f"{name}={value}" for name, value in settings.items()], {"pretrain": files}, option)


def pretrain_files(options: ComparisonOptions, method: Method) -> tuple[Path, ...]:
    """Bundle and overlays by which a method pretrains; its own is the last."""
    own = [method.overlay] if method.overlay else []
    return (options.bundles / STAGES["pretrain"], *options.overlays, *own)


def settings_reaching(method: Method, settings: Mapping[str, str]) -> dict[str, str]:
    """Of settings for all methods, those that a method takes: what its own overlay sets stays."""
    if method.overlay is None or method.problem:
        return dict(settings)
    keys = [key.lstrip("+").replace("#", "::") for key in ConfigParser.load_config_file(method.overlay)]
    return {name: value for name, value in settings.items() if not any(_overlap(name, key) for key in keys)}


def settings_apart(methods: Sequence[Method], trained: Sequence[Method], settings: Mapping[str, str]) -> list[str]:
    """What the settings make different between methods, a sentence each.

    Args:
        methods: with their own settings.
        trained: those of the comparison, under the names of its rows.
        settings: for the pretraining of all.
    """
    taken = {method.name: settings_reaching(method, settings) for method in trained}
    lines = []
    for name, value in settings.items():
        without = [method for method, own in taken.items() if name not in own]
        if without:
            overlay = "whose overlay sets" if len(without) == 1 else "whose overlays set"
            would = f"{without[0] if len(without) == 1 else 'METHOD'}/{name}={value} would"
            lines.append(
                f"--set {name}={value} does not reach the pretraining of {_listed(without)}, {overlay} it; {would}."
            )
    lines += [
        f"--set {method.name}/{name}={value} is for {method.name} alone."
        for method in methods
        for name, value in method.settings.items()
    ]
    return lines


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _overlap(one: str, other: str) -> bool:
    """Whether one is the other, or a part of it."""
    return f"{one}::".startswith(f"{other}::") or f"{other}::".startswith(f"{one}::")
