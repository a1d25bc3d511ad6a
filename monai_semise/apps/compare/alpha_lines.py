# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_semise.apps.compare.methods import ALPHA
from monai_semise.utils import InputError
from monai_semise.visualize.interval_lines import IntervalLine

__all__ = ["COMPARISON", "FIG3", "alpha_lines", "join_lines", "read_alpha_lines"]

COMPARISON = "comparison.json"
FIG3 = "fig3"
"""Key of the table of alphas in ``comparison.json``."""
MEASURE = "macro_f1"


def alpha_lines(content: Mapping[str, Any]) -> dict[str, IntervalLine]:
    """Curves of macro F1 over alpha of a comparison, one for each label budget.

    Args:
        content: of ``comparison.json``, with ``data_set`` and the table of alphas.

    Returns:
        curves by data set and label budget; runs that have no result are no points.
    """
    points: dict[str, list[tuple[float, ...]]] = {}
    for row in content["tables"][FIG3]["rows"]:
        if MEASURE in row["measures"]:
            cell = row["measures"][MEASURE]
            ends = (float("nan") if cell[end] is None else cell[end] for end in ("mean", "low", "high"))
            name = f"{content['data_set']}, {100 * row['labelled']:g} % of labels"
            points.setdefault(name, []).append((float(row["method"].removeprefix(f"{ALPHA}-alpha-")), *ends))
    return {name: IntervalLine(*zip(*sorted(own))) for name, own in points.items()}


def read_alpha_lines(folder: Path) -> dict[str, IntervalLine]:
    """Curves of a comparison that is finished; see :func:`alpha_lines`.

    Raises:
        InputError: when the folder holds none, or one without alphas.
    """
    try:
        content = json.loads((folder / COMPARISON).read_text(encoding="utf-8"))
        lines = alpha_lines(content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"beside: {folder} holds no finished comparison with --alphas ({COMPARISON}: {error!r}); name the --out "
            "folder of one"
        ) from error
    return lines


def join_lines(
    own: Mapping[str, IntervalLine], beside: Sequence[tuple[Path, Mapping[str, IntervalLine]]]
) -> dict[str, IntervalLine]:
    """Curves of a comparison and of others; one whose name is taken is told apart by its folder.

    Example:
        >>> line = IntervalLine((0.5,), (0.7,), (0.6,), (0.8,))
        >>> list(join_lines({"idrid": line}, [(Path("results/b"), {"busi": line}), (Path("c"), {"idrid": line})]))
        ['idrid', 'busi', 'idrid (c)']
    """
    joined = dict(own)
    for folder, lines in beside:
        joined |= {f"{name} ({folder.as_posix()})" if name in joined else name: line for name, line in lines.items()}
    return joined
