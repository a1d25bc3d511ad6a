# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from monai_semise.utils import InputError

__all__ = ["balanced_grade_weights"]


def balanced_grade_weights(severity: Sequence[int], n_grades: int, names: Sequence[str] | None = None) -> Tensor:
    r"""Weights that make all grades count alike in a cross-entropy: :math:`w_k = N / (K n_k)`.

    Args:
        severity: grades of the training images; negative = ungraded, left out.
        n_grades: number of grades K.
        names: of the grades, for the error.

    Returns:
        float32 weights of shape (K,); their mean over the images is 1.

    Raises:
        InputError: when a grade has no image, or one is outside the scale.

    Example:
        >>> balanced_grade_weights([0, 0, 0, 1, -1], 2)
        tensor([0.6667, 2.0000])
    """
    graded = torch.tensor([grade for grade in severity if grade >= 0], dtype=torch.long)
    if len(graded) and int(graded.max()) >= n_grades:
        raise InputError(f"training: severity {int(graded.max())} is outside the scale of {n_grades} grades")
    counts = torch.bincount(graded, minlength=n_grades)
    for grade in (counts == 0).nonzero().flatten().tolist():
        name = f" ({names[grade]})" if names and grade < len(names) else ""
        raise InputError(
            f"training: no image of severity {grade}{name}, but the scale has {n_grades} grades; "
            "add some, or merge grades in the datalist"
        )
    return len(graded) / (n_grades * counts.float())
