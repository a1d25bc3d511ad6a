# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from monai_semise.apps.compare.figures import Figures
from monai_semise.apps.compare.result_table import ResultTable
from monai_semise.apps.inference.pages import embedded
from monai_semise.utils import write_whole

__all__ = ["PAGE", "write_comparison_page"]

PAGE = "comparison.html"
TEMPLATES = ("monai_semise.apps.compare", "monai_semise.apps.inference")


def write_comparison_page(
    folder: Path,
    n_images: int,
    tables: Mapping[str, ResultTable],
    figures: Figures,
    facts: Mapping[str, Any],
) -> Path:
    """Write ``comparison.html``, whole or not at all: one file without scripts that loads nothing.

    Args:
        folder: of the comparison, where its pictures are.
        n_images: graded test images.
        tables: by the stem of their files.
        figures: what was drawn, see :func:`monai_semise.apps.compare.figures.draw_figures`.
        facts: see ``comparison.json``.

    Returns:
        the page.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
    )
    page = environment.get_template(PAGE).render(
        n_images=n_images,
        tables=tables,
        pictures=[(caption, embedded((folder / name).read_bytes())) for name, caption in figures.captions.items()],
        left_out=figures.left_out,
        facts=facts,
        failed=[stage for stage in facts["stages"] if stage["error"]],
        unreadable=[],
    )
    with write_whole(folder / PAGE) as stream:
        stream.write(page)
    return folder / PAGE
