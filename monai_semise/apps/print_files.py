# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["print_files"]


def print_files(folder: Path, files: Mapping[str, str], last: Sequence[str]) -> None:
    """Say where everything is.

    Args:
        folder: of the files.
        files: a line on each; those that do not exist are left out.
        last: lines to end with.
    """
    width = max(map(len, files))
    lines = ["", f"Done. Everything is in {folder.absolute()}"]
    lines += [f"  {name:{width}} {what}" for name, what in files.items() if (folder / name).exists()]
    logging.getLogger("monai_semise").info("\n".join([*lines, *last]))
