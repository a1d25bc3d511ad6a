# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from monai_semise.data.datalist import UNGRADED
from monai_semise.severity import SeverityCalibrator
from monai_semise.utils import InputError

__all__ = ["CALIBRATED_ON", "fit_calibrator", "group_of", "read_calibration"]

CALIBRATED_ON = "validation"
"""The section that severities are calibrated on."""


def group_of(item: Mapping[str, Any]) -> str:
    """Patient of a datalist item; an image of which none is known stands alone."""
    return str(item.get("group", item["image"]))


def fit_calibrator(
    score: Tensor, items: Sequence[Mapping[str, Any]], n_grades: int, coverage: float
) -> SeverityCalibrator | None:
    """Fit on the graded among the validation images; None, and a warning in the log, where these are too few.

    Args:
        score: severity scores, shape (N,).
        items: datalist items.
        n_grades: number of grades.
        coverage: share of images whose grade the interval shall hold.
    """
    graded = [n for n, item in enumerate(items) if item["severity"] != UNGRADED]
    severity = [items[n]["severity"] for n in graded]
    groups = [group_of(items[n]) for n in graded]
    try:
        return SeverityCalibrator(coverage, n_grades).fit(score[graded].numpy(), severity, groups)
    except InputError as error:
        logging.getLogger("monai_semise").warning(f"No calibration: {error}")
        return None


def read_calibration(folder: str | os.PathLike) -> SeverityCalibrator | None:
    """The calibration of a training run; None, and a warning in the log, where the run has none.

    Raises:
        InputError: when the file is damaged.
    """
    path = Path(folder) / "calibration.json"
    if not path.is_file():
        logging.getLogger("monai_semise").warning(
            f"{path} does not exist: severities stay uncalibrated, without grade and interval"
        )
        return None
    try:
        return SeverityCalibrator.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); train again, or delete it to go without") from error
