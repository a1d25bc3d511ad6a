# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from monai_semise.engines import PrepareSeverityBatch
from monai_semise.methods.grade_logits_loss import GradeLogitsLoss
from monai_semise.methods.view_gathering import gather_views
from monai_semise.transforms import RandBatchAugment
from monai_semise.utils.heads import PREFERENCE

__all__ = ["FixMatchLoss", "PrepareAugmentedViews", "stronger_augment"]


def stronger_augment(augment: RandBatchAugment, factor: float) -> RandBatchAugment:
    """An augmentation that does the same more strongly: what a comparison sets for all holds for both views.

    Args:
        augment: the weak one.
        factor: at least 1. Largest rotation (up to 180 degrees), shift, brightness, noise and blur are so many times as
            large; of ranges of factors (zoom, contrast, gamma, aspect) and of shares (crop), the ends are taken to that
            power. The axes to flip stay.

    Raises:
        ValueError: when ``factor`` is below 1.

    Example:
        >>> strong = stronger_augment(RandBatchAugment(rotation=15, zoom=(0.5, 2.0), flip_axes=(1,)), factor=2)
        >>> strong.rotation, strong.zoom, strong.flip_axes
        (30, (0.25, 4.0), (1,))
    """
    if not factor >= 1:
        raise ValueError(f"factor must be at least 1, got {factor}")

    def widened(ends: Sequence[float]) -> tuple[float, ...]:
        return tuple(end**factor for end in ends)

    return RandBatchAugment(
        rotation=min(180, factor * augment.rotation),
        zoom=widened(augment.zoom),
        shift=factor * augment.shift,
        flip_axes=augment.flip_axes,
        brightness=factor * augment.brightness,
        contrast=widened(augment.contrast),
        gamma=widened(augment.gamma),
        noise=factor * augment.noise,
        crop=widened(augment.crop),
        aspect=widened(augment.aspect),
        blur=tuple(factor * end for end in augment.blur),
    )


class PrepareAugmentedViews(PrepareSeverityBatch):
    """A :class:`monai_semise.engines.PrepareSeverityBatch` with an augmentation of its own for each view.

    Args:
        augments: each maps a batch (N, C, *spatial) on the device to an augmented one.

    Example:
        >>> batch = {"image": torch.zeros(3, 1, 8, 8), "severity": torch.tensor([0, 2, -1]), "index": torch.arange(3)}
        >>> views, target = PrepareAugmentedViews([torch.flipud, torch.cos])(batch)
        >>> views.mean(dim=(1, 2, 3, 4))
        tensor([0., 1.])
    """

    def __init__(self, augments: Sequence[Callable[[Tensor], Tensor]]) -> None:
        super().__init__(views=["original"])
        self.augments = list(augments)

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """
        Args:
            batchdata: ``image`` (N, C, *spatial), ``severity`` (N,) and ``index`` (N,).
            device: where the tensors go.
            non_blocking: see :meth:`torch.Tensor.to`.
            kwargs: further arguments of :meth:`torch.Tensor.to`.

        Returns:
            views of shape (V, N, C, *spatial), in the order of ``augments``, and the target.
        """
        (image, *_), target = super().__call__(batchdata, device, non_blocking, **kwargs)
        return torch.stack([augment(image) for augment in self.augments]), target


class FixMatchLoss(nn.Module):
    r"""The loss of FixMatch (Sohn et al. 2020, arXiv 2001.07685): grades, and one's own confident guesses.

    .. math::
        L = \mathrm{CE}(w_i, y_i)_{i \text{ graded}}
            + \lambda \frac{1}{N} \sum_i [\max p_i \ge \theta] \, \mathrm{CE}(s_i, \arg\max p_i), \quad
        p_i = \mathrm{softmax}(w_i)

    with the logits w of a weakly and s of a strongly augmented view. Graded images take part in the second term with
    their guess, as in the original.

    Args:
        threshold: :math:`\theta`, in [0, 1].
        weight: :math:`\lambda`.

    Attributes:
        terms: both terms at the last call, without weight, and the share of images whose guess counted, for the log.

    Example:
        >>> loss = FixMatchLoss()
        >>> loss(torch.randn(2, 3, 2, 5), {"severity": torch.tensor([0, 4, -1])}).shape, sorted(loss.terms)
        (torch.Size([]), ['confident', 'cross_entropy', 'pseudo_label'])
    """

    def __init__(self, threshold: float = 0.95, weight: float = 1.0) -> None:
        super().__init__()
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must lie in [0, 1], got {threshold}")
        self.graded = GradeLogitsLoss(nn.CrossEntropyLoss())
        self.threshold = threshold
        self.weight = weight
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: logits of the weakly and the strongly augmented view, shape (2, N, H, K).
            target: ``"severity"``, integers of shape (N,), negative when ungraded.
        """
        cross_entropy = self.graded(input[:1], target)
        weak, strong = gather_views(input)[:, :, PREFERENCE].float()
        confidence, guess = weak.detach().softmax(dim=1).max(dim=1)
        confident = (confidence >= self.threshold).float()
        pseudo_label = (confident * F.cross_entropy(strong, guess, reduction="none")).mean()
        self.terms = {
            "cross_entropy": cross_entropy.detach(),
            "pseudo_label": pseudo_label.detach(),
            "confident": confident.mean(),
        }
        return cross_entropy + self.weight * pseudo_label
