# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What the reports of all inference bundles share: one page without scripts that loads nothing."""

from __future__ import annotations

import base64
import csv
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from monai_semise.utils import write_whole

__all__ = ["embedded", "write_page"]


def embedded(png: bytes) -> str:
    """A picture as the ``src`` of an image, so that the page needs no other file.

    Example:
        >>> embedded(b"a")
        'data:image/png;base64,YQ=='
    """
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def write_page(folder: Path, template: str, **content: Any) -> int:
    """Write ``report.html``, whole or not at all, from ``content`` and the folder's ``unreadable.csv``.

    Returns:
        number of images that could not be read.
    """
    with open(folder / "unreadable.csv", encoding="utf-8", newline="") as stream:
        unreadable = list(csv.DictReader(stream))
    environment = Environment(
        loader=PackageLoader("monai_semise.apps.inference"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template(template).render(**content, unreadable=unreadable)
    with write_whole(folder / "report.html") as stream:
        stream.write(page)
    return len(unreadable)
