# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.engines import PrepareBatch
from monai.inferers import Inferer
from torch import Tensor, nn

from monai_semise.utils import plain_tensor, unwrap

__all__ = ["GradeInferer", "PrepareGradedBatch"]


class PrepareGradedBatch(PrepareBatch):
    """Turn a collated batch into images, augmented on the device, and their grades.

    Args:
        augment: maps a batch (N, C, *spatial) to an augmented one, such as
            :class:`monai_semise.transforms.RandBatchAugment`; None leaves the images as they are.

    Example:
        >>> import torch
        >>> PrepareGradedBatch()({"image": torch.rand(2, 1, 8, 8), "severity": torch.tensor([0, 2])})[1]
        tensor([0, 2])
    """

    def __init__(self, augment: Callable[[Tensor], Tensor] | None = None) -> None:
        self.augment = augment

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """
        Args:
            batchdata: ``image`` of shape (N, C, *spatial) or (N, C), and ``severity`` of shape (N,).
            device: where the tensors go.
            non_blocking: see :meth:`torch.Tensor.to`.
            kwargs: further arguments of :meth:`torch.Tensor.to` for the images.

        Returns:
            images and grades.
        """
        image = plain_tensor(batchdata["image"]).to(device=device, non_blocking=non_blocking, **kwargs)
        severity = torch.as_tensor(batchdata["severity"]).to(device=device, non_blocking=non_blocking)
        return (self.augment(image) if self.augment else image), severity


class GradeInferer(Inferer):
    """Probabilities and grade of a batch, by a :class:`monai_semise.networks.SeverityClassifier`."""

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """
        Args:
            inputs: images or features, as the network takes them.
            network: the classifier, bare or in ``DistributedDataParallel``.

        Returns:
            ``probabilities`` of shape (N, K), ``grade`` of shape (N,), and ``score`` of shape (N,), the expected grade.
        """
        logits = network(inputs, *args, **kwargs)
        classifier: Any = unwrap(network)
        probabilities = classifier.probabilities(logits)
        return {
            "probabilities": probabilities,
            "grade": classifier.grades(probabilities),
            "score": classifier.expected_grade(probabilities),
        }
