# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Stop a bundle run whose settings hold a misspelt name, or a truth value that is a text.

MONAI adds an override whose key does not exist (``--alhpa 0.7``) to the config without a word. A config can neither
hook into that nor see itself, so this module finds the running ``ConfigWorkflow`` among the callers: the one
workaround of the package that looks at the stack. ``tests/bundle/test_check_settings.py`` tells when MONAI rejects
unknown keys by itself and this file can go.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from monai.bundle import ComponentLocator, ConfigComponent, ConfigWorkflow
from monai.bundle.properties import InferProperties, MetaProperties, TrainProperties
from monai.bundle.utils import ID_SEP_KEY
from monai.utils import BundlePropertyConfig, optional_import

from monai_semise.utils import InputError

__all__ = ["check_settings", "text_truth_values", "unknown_settings"]

TARGET = "_target_"
RESERVED = {"imports", "initialize", "run", "finalize"} | {
    str(spec[BundlePropertyConfig.ID]).split(ID_SEP_KEY)[0]  # pyrefly: ignore [bad-index]
    for kind in (TrainProperties, InferProperties, MetaProperties)
    for spec in kind.values()
}


def check_settings() -> None:
    """Raise when the running bundle config holds a setting that nothing uses; for the ``initialize`` list of a config.

    A setting is known when a config that is in use has it, another setting refers to it, or it is an argument that its
    component takes. In use, as far as can be told, are JSON files beside the config (or in a folder below) all of whose
    settings are there.

    Raises:
        InputError: naming the setting and the one that was probably meant, or the config that has it.
        RuntimeError: outside a bundle run.
    """
    workflow = _running_workflow()
    config, known, elsewhere = workflow.parser.get(), set(), {}
    root = Path(workflow.config_root_path)
    for file in sorted((*root.glob("*.json"), *root.glob("*/*.json"))):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not a config
            continue
        if not isinstance(content, dict):
            continue
        keys = [key for key, *_ in _settings(content)]
        if all(_has(config, name.replace("#", ID_SEP_KEY)) for name in content):
            known.update(keys)
        else:
            for key in keys:
                elsewhere.setdefault(key, []).append(file.relative_to(root).as_posix())
    problems = [*text_truth_values(config), *unknown_settings(config, known, elsewhere)]
    if problems:
        raise InputError("; ".join(problems))


def text_truth_values(config: Mapping[str, Any]) -> list[str]:
    """Find settings whose value is the text "true" or "false", which the command line makes of ``--amp false``.

    As a text, "false" is true.

    Args:
        config: content of a bundle config, overrides included.

    Returns:
        a sentence for each.

    Example:
        >>> text_truth_values({"amp": "false", "bf16": False})
        ['setting "amp" is the text "false"; on the command line, write False']
    """
    values = ((key, parent[name]) for key, name, parent in _settings(config))
    return [
        f'setting "{key}" is the text "{value}"; on the command line, write {value.capitalize()}'
        for key, value in values
        if isinstance(value, str) and value in ("true", "false")
    ]


def unknown_settings(
    config: Mapping[str, Any], known: set[str], elsewhere: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> list[str]:
    """Find settings that are neither known, referred to, nor taken by their component.

    Args:
        config: content of a bundle config, overrides included.
        known: ids that are right whatever the rest says.
        elsewhere: configs that are not in use, by the ids that they have.

    Returns:
        a sentence for each, naming the id and the configs that have it or, when one is close, the id that was probably
        meant.

    Example:
        >>> unknown_settings({"alpha": 0.5, "alhpa": 0.7, "run": ["$@alpha"]}, known={"alpha", "run"})
        ['unknown setting "alhpa"; did you mean "alpha"?']
    """
    referred = set(re.findall(r"@((?:\w+(?:::|#))*\w+)", json.dumps(config, default=str).replace("#", ID_SEP_KEY)))
    problems: list[str] = []
    faulty: list[str] = []
    for key, name, parent in _settings(config):
        own = key.startswith("_") or name.startswith("_")  # MONAI's metadata and syntax, and comments
        if own or key in known or key in RESERVED or any(key.startswith(f) for f in faulty):
            continue
        if any(reference == key or reference.startswith(key + ID_SEP_KEY) for reference in referred):
            continue
        siblings = [sibling for sibling in parent if sibling != name]
        if TARGET in parent:
            accepted = _arguments(parent[TARGET])
            if accepted is None or name in accepted:
                continue
            siblings = sorted(accepted)
        path = key.rpartition(ID_SEP_KEY)[0]
        close = difflib.get_close_matches(name, siblings, n=1, cutoff=0.6)
        if not close and path and TARGET not in parent:
            continue  # a new entry of a plain dictionary, such as one more metric
        meant = ID_SEP_KEY.join(filter(None, (path, close[0]))) if close else _anywhere(key, known)
        hint = f'; did you mean "{meant}"?' if meant else ""
        if key in elsewhere:
            hint = f"; it belongs to {' or '.join(elsewhere[key])}, which this run does not use"
        problems.append(f'unknown setting "{key}"{hint}')
        faulty.append(key + ID_SEP_KEY)
    return problems


def _settings(config: Any, prefix: str = "") -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Id, own name and enclosing dictionary of every setting."""
    if isinstance(config, dict):
        for name, value in config.items():
            key = f"{prefix}{name}".replace("#", ID_SEP_KEY)
            yield key, name, config
            yield from _settings(value, key + ID_SEP_KEY)
    elif isinstance(config, list):
        for n, value in enumerate(config):
            yield from _settings(value, f"{prefix}{n}{ID_SEP_KEY}")


def _has(config: Any, key: str) -> bool:
    """Whether a config has a setting."""
    for name in key.split(ID_SEP_KEY):
        if isinstance(config, dict) and name in config:
            config = config[name]
        elif isinstance(config, list) and name.isdigit() and int(name) < len(config):
            config = config[int(name)]
        else:
            return False
    return True


def _anywhere(key: str, known: set[str]) -> str:
    close = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.6)
    return close[0] if close else ""


def _arguments(target: Any) -> set[str] | None:
    """Names that the component takes; None when it takes any, or cannot be told."""
    if not isinstance(target, str) or target.startswith(("$", "@")):
        return None
    path = ConfigComponent({TARGET: target}, locator=ComponentLocator()).resolve_module_name()
    module, _, name = str(path).rpartition(".")
    component, found = optional_import(module, name=name)
    try:
        parameters = inspect.signature(component).parameters.values() if found else None
    except (TypeError, ValueError):
        parameters = None
    if parameters is None or any(p.kind == inspect.Parameter.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters}


def _running_workflow() -> ConfigWorkflow:
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, ConfigWorkflow):
            return caller
        frame = frame.f_back
    raise RuntimeError("check_settings belongs in the `initialize` list of a MONAI bundle config")
