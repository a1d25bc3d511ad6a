# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Predictors that know the training grades and never look at an image, and how to notice a model that is like them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from monai_semise.metrics.prediction import GradePrediction
from monai_semise.utils import InputError

__all__ = ["constant_majority", "constant_warnings", "is_constant", "stratified_random"]

_ROUNDING = 1e-6  # of float32, relative


def constant_majority(training_grades: Tensor, n_images: int, n_grades: int) -> GradePrediction:
    """Says the most frequent training grade of every image, with certainty.

    Args:
        training_grades: grades of the training images, integers; negative ones (ungraded) are left out.
        n_images: number of images N to predict.
        n_grades: number of grades K.

    Returns:
        the grade (the lowest of several as frequent), probability 1 of it, and the grade as the score, for which no
        rank correlation is defined.

    Raises:
        InputError: without a training grade, or with one from ``n_grades`` on.

    Example:
        >>> import torch
        >>> constant_majority(torch.tensor([0, 1, 1, 2]), n_images=2, n_grades=3).grade
        tensor([1, 1])
    """
    grade = _counts(training_grades, n_grades).argmax().expand(n_images)
    return GradePrediction(grade, F.one_hot(grade, n_grades).double(), grade.double())


def stratified_random(training_grades: Tensor, n_images: int, n_grades: int, seed: int = 0) -> GradePrediction:
    """Draws the grade of each image with the frequencies of the training grades.

    One draw an image, so its measures scatter by luck; a bootstrap of the images is one of their draws too, and its
    interval therefore shows that luck.

    Args:
        training_grades: grades of the training images, integers; negative ones (ungraded) are left out.
        n_images: number of images N to predict.
        n_grades: number of grades K.
        seed: of the draws.

    Returns:
        the drawn grade, as the score too, and as probabilities the frequencies themselves, which are the best that can
        be said of an image without looking at it.

    Raises:
        InputError: without a training grade, or with one from ``n_grades`` on.

    Example:
        >>> import torch
        >>> prediction = stratified_random(torch.tensor([0, 0, 0, 1]), n_images=2, n_grades=3)
        >>> prediction.probability
        tensor([[0.7500, 0.2500, 0.0000],
                [0.7500, 0.2500, 0.0000]], dtype=torch.float64)
    """
    counts = _counts(training_grades, n_grades)
    frequency = counts.double() / counts.sum()
    generator = torch.Generator().manual_seed(seed)
    grade = torch.multinomial(frequency.expand(n_images, -1), 1, generator=generator).squeeze(1)
    return GradePrediction(grade, frequency.expand(n_images, -1), grade.double())


def is_constant(values: Tensor) -> bool:
    """Whether two or more predictions are all the same, but for the rounding of float32.

    Args:
        values: grades or scores of shape (N,), or probabilities of shape (N, K).

    Example:
        >>> import torch
        >>> is_constant(torch.tensor([2, 2, 2])), is_constant(torch.tensor([2, 2, 1]))
        (True, False)
    """
    values = values.double()
    return len(values) > 1 and bool((values - values[:1]).abs().max() <= _ROUNDING * values.abs().max())


def constant_warnings(name: str, prediction: GradePrediction) -> list[str]:
    """One sentence for each part of a prediction that does not depend on the image.

    Args:
        name: what to call the predictor.
        prediction: its predictions.

    Example:
        >>> import torch
        >>> constant_warnings("model", GradePrediction(torch.tensor([2, 2, 2])))
        ['model: all 3 images get grade 2, which makes it a constant predictor']
    """
    n_images = len(prediction.grade)
    found = []
    if is_constant(prediction.grade):
        found.append(
            f"all {n_images} images get grade {prediction.grade[0].item()}, which makes it a constant predictor"
        )
    if prediction.probability is not None and is_constant(prediction.probability):
        found.append(f"all {n_images} images get the same probabilities, which makes it a constant predictor")
    if prediction.score is not None and is_constant(prediction.score):
        found.append(f"all {n_images} images get the same severity score, which orders nothing")
    return [f"{name}: {what}" for what in found]


def _counts(training_grades: Tensor, n_grades: int) -> Tensor:
    """How often each grade occurs, shape (K,)."""
    graded = training_grades[training_grades >= 0].long().cpu()
    if not len(graded):
        raise InputError("training grades: none is graded; the baselines need the grades of the training images")
    if graded.max() >= n_grades:
        raise InputError(f"training grades: {int(graded.max())} is none of the {n_grades} grades from 0")
    return torch.bincount(graded, minlength=n_grades)
