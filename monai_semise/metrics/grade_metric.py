# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from monai_semise.metrics.cumulative import WholeSetMetric

__all__ = ["GradeMetric"]


class GradeMetric(WholeSetMetric):
    """A metric that is a function of one prediction and one true grade an image, over the graded images.

    Subclasses name the function: ``measure = staticmethod(...)``.
    """

    measure: ClassVar[Callable[..., Tensor]]

    def compute(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """
        Args:
            y_pred: predictions, shape (N,), (N, 1) or, for probabilities, (N, K).
            y: grades of shape (N,), or rows whose first column they are; images with a negative one are left out.

        Returns:
            scalar, on the CPU, where the many small steps of these functions are faster.
        """
        if y_pred.ndim > 1 and y_pred.shape[1] == 1:
            y_pred = y_pred.flatten()
        grade = y.reshape(len(y), -1)[:, 0].cpu()
        graded = grade >= 0
        return self.measure(y_pred.cpu()[graded], grade[graded])
