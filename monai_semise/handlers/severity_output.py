# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Output transforms: what metrics need of an evaluator with :class:`monai_semise.engines.SeverityInferer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.utils import CommonKeys
from torch import Tensor

__all__ = ["embedding_and_severity", "grade_and_severity", "score_and_severity"]


def score_and_severity(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Severity scores (N, 1), and rows (severity, item index) of shape (N, 2)."""
    return output[CommonKeys.PRED]["score"][:, None], _severity_and_index(output)


def embedding_and_severity(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Preference embeddings (N, D), and rows (severity, item index) of shape (N, 2)."""
    return output[CommonKeys.PRED]["embedding"], _severity_and_index(output)


def grade_and_severity(output: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Predicted grades (N, 1) and true grades (N, 1)."""
    return output[CommonKeys.PRED]["grade"][:, None], output[CommonKeys.LABEL][:, None]


def _severity_and_index(output: Mapping[str, Any]) -> Tensor:
    target = output[CommonKeys.LABEL]
    return torch.stack([target["severity"], target["index"]], dim=1)
