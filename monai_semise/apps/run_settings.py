# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_semise.utils import InputError, write_json

__all__ = ["read_run_settings", "write_run_settings"]

FILE = "settings.json"
SCORED = "SemiseNet"
"""Network of a pretraining run that inference knows."""


def write_run_settings(folder: str | os.PathLike, settings: Mapping[str, Any]) -> None:
    """Keep in a run's folder what is needed to build its network and prepare images for it."""
    write_json(Path(folder) / FILE, settings)


def read_run_settings(folder: str | os.PathLike) -> dict[str, Any]:
    """The settings of a finished training run, for use on new images.

    Raises:
        InputError: when the folder holds no finished run, or one of a method that only leaves an encoder.
    """
    path = Path(folder) / FILE
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"run_dir: {folder} holds no {FILE}, so no finished training run; train first, or name its output_dir"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"run_dir: {path} cannot be read ({error}); train again") from error
    if not isinstance(settings, dict):
        raise InputError(f"run_dir: {path} is not an object of settings; train again")
    if settings.get("network", SCORED) != SCORED:
        raise InputError(
            f"run_dir: {folder} holds a {settings['network']} of the method {settings.get('method')}, and severity is "
            f"inferred with a {SCORED} alone; train semise_classification on its encoder.pt, and name that run"
        )
    return settings
