# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from monai_semise.apps.pack.kinds import packed_kind
from monai_semise.utils import InputError, ensure_writable, write_whole

__all__ = ["COMPARISONS", "MODELS", "make_app_folder"]

MODELS = "model"
"""Folder of the packed bundles below that of the app, by MONAI Label's own name."""
COMPARISONS = "comparisons.jsonl"
"""File of the answers below the folder of the app."""
MAIN = '''"""Started by MONAI Label."""

from monai_semise.apps.label.main import SemiseApp

__all__ = ["SemiseApp"]
'''


def make_app_folder(folder: str | os.PathLike, bundles: Sequence[str | os.PathLike]) -> Path:
    """Make the folder of a MONAI Label app, or add to that of an earlier start.

    A bundle that is there already, and that the server may have trained since, is kept.

    Args:
        folder: of the app.
        bundles: folders of packed bundles, see ``python -m monai_semise pack``.

    Returns:
        the absolute path of the folder.

    Raises:
        InputError: when something is no packed bundle, or there would be two of one purpose.
    """
    folder = ensure_writable(folder, option="--app")
    (folder / MODELS).mkdir(exist_ok=True)
    for bundle in map(Path, bundles):
        bundle = bundle.absolute()
        packed_kind(bundle)
        if not (folder / MODELS / bundle.name).exists():
            with TemporaryDirectory(dir=folder, prefix=".") as incoming:
                shutil.copytree(bundle, Path(incoming) / bundle.name)
                os.rename(Path(incoming) / bundle.name, folder / MODELS / bundle.name)
    found = sorted(path.name for path in (folder / MODELS).glob("semise_*"))
    if len([name for name in found if name.startswith("semise_severity")]) > 1:
        raise InputError(f"{folder / MODELS}: holds {' and '.join(found)}; one --app serves one severity bundle")
    with write_whole(folder / "main.py") as stream:
        stream.write(MAIN)
    return folder
