# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from monai_semise.apps.pack.configs import LOCAL
from monai_semise.apps.pack.kinds import Kind
from monai_semise.utils import printable

__all__ = ["readme_text"]


def readme_text(
    kind: Kind,
    metadata: Mapping[str, Any],
    settings: Mapping[str, Any],
    summary: Mapping[str, Any],
    exports: Sequence[str] = (),
) -> str:
    """``docs/README.md`` of a bundle folder.

    Args:
        kind: of the run.
        metadata: content of ``metadata.json``.
        settings: of the run.
        summary: content of the run's ``summary.json``.
        exports: files of the network beside ``model.pt``.
    """
    page = Environment(
        loader=PackageLoader("monai_semise.apps.pack"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("README.md")
    shown = {name: _text(value) for name, value in settings.items() if name not in (*LOCAL, "bundle")}
    return page.render(
        kind=kind,
        metadata=metadata,
        image=metadata["network_data_format"]["inputs"]["image"],
        settings=shown,
        pretrained=settings.get("encoder") not in (None, "null") or settings.get("imagenet_weights"),
        evaluations={name: _table(evaluation) for name, evaluation in _evaluations(summary).items()},
        exports=exports,
    )


def _evaluations(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluation of each section: of a pretraining run a part of it, else the section itself."""
    found = {name: section.get("evaluation", section) for name, section in summary.items()}
    return {name: evaluation for name, evaluation in found.items() if "rows" in evaluation}


def _table(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """A row for each measure, a column for each predictor."""
    predictors = evaluation["rows"]
    measures = dict.fromkeys(measure for row in predictors.values() for measure in row)  # in order
    lines = [
        [_cell(measure.replace("_", " ")), *(_interval(row.get(measure)) for row in predictors.values())]
        for measure in measures
    ]
    return {**evaluation, "head": ["", *predictors], "lines": lines}


def _interval(numbers: Sequence[float | None] | None) -> str:
    value, low, high = numbers or (None, None, None)
    if value is None:
        return "-"
    return f"{value:.3f}" + ("" if low is None or high is None else f" ({low:.3f} to {high:.3f})")


def _text(value: Any) -> str:
    """A setting as a person writes it.

    Example:
        >>> [_text(value) for value in (True, None, ["a", "b"], 0.5)]
        ['yes', 'none', 'a, b', '0.5']
    """
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _cell(str(value))


def _cell(text: str) -> str:
    """For a cell of a table in Markdown."""
    return printable(text).replace("|", r"\|")
