# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from monai.utils import ensure_tuple_rep
from torch import Tensor

from monai_semise.methods.feature_net import FeatureNet
from monai_semise.methods.image_patches import (
    choose_patch_size,
    draw_masked,
    patch_grid,
    split_patches,
    spread_to_pixels,
)
from monai_semise.networks import SeverityNet
from monai_semise.utils import InputError, norm_momentum

__all__ = ["PIXELS", "PREDICTION", "MaskedImageNet"]

PREDICTION = 0  # heads of the output in training
PIXELS = 1


class MaskedImageNet(FeatureNet):
    """Base of networks that predict the pixels of hidden patches: MAE and SimMIM.

    A subclass adds :meth:`reconstruct`. In evaluation nothing is hidden: the features are the embedding, and the
    severity score is their cosine distance to the mean of healthy images. So that they can be used frozen, the running
    statistics of the encoder's batch normalization are those of whole images, at the price of a second forward pass
    without gradients; what is hidden and learned from is normalized with the statistics of its own batch.

    Args:
        backbone: see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        image_size: pixels along each axis of the training images, or one number for all.
        patch_size: pixels along each axis of a patch; by default see
            :func:`monai_semise.methods.image_patches.choose_patch_size`.
        mask_ratio: share of the patches that is hidden, in (0, 1).

    Raises:
        InputError: when the patches do not tile the image, or none of them would be hidden or seen.
    """

    def __init__(
        self,
        backbone: str,
        spatial_dims: int,
        in_channels: int,
        image_size: int | Sequence[int],
        patch_size: int | None,
        mask_ratio: float,
    ) -> None:
        super().__init__(backbone, spatial_dims, in_channels)
        size = ensure_tuple_rep(image_size, spatial_dims)
        self.patch_size = choose_patch_size(size) if patch_size is None else patch_size
        self.mask_ratio = mask_ratio
        self._count_masked(patch_grid(size, self.patch_size))

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: batch of shape (N, in_channels, *spatial).

        Returns:
            in training, prediction and pixels of the M hidden patches alone, shape (N, 2, M, C * patch_size ** d) for d
            spatial axes; in evaluation, the features, twice, shape (N, 2, n_features).
        """
        if not self.training:
            return super().forward(image)
        grid = patch_grid(image.shape[2:], self.patch_size)
        masked = draw_masked(len(image), grid, self._count_masked(grid), image.device)
        with norm_momentum(self.encoder, 0.0):
            prediction = self.reconstruct(image, spread_to_pixels(masked, self.patch_size))
        with torch.no_grad():
            # for its running statistics; not before: up to torch 2.9, autocast would give the pass with gradients the
            # half-precision weights that it keeps from this one, which have none (pytorch/pytorch#112583)
            self.encoder(image)
        heads = [split_patches(pixels, self.patch_size) for pixels in (prediction.to(image.dtype), image)]
        patches = torch.stack(heads, dim=2)[masked.flatten(1)]
        return patches.unflatten(0, (len(image), -1)).transpose(1, 2)

    @abstractmethod
    def reconstruct(self, image: Tensor, masked: Tensor) -> Tensor:
        """Predict an image from those of its pixels that are not masked.

        Args:
            image: batch of shape (N, in_channels, *spatial).
            masked: which pixels must not be looked at, shape (N, 1, *spatial), bool.

        Returns:
            tensor of the shape of ``image``.
        """

    severity = SeverityNet.severity  # by angle: the loss gives the length of the features no meaning

    def _count_masked(self, grid: Sequence[int]) -> int:
        n_patches = math.prod(grid)
        n_masked = round(self.mask_ratio * n_patches)
        if not 0 < n_masked < n_patches:
            raise InputError(
                f"mask_ratio: {self.mask_ratio} hides {n_masked} of {n_patches} patches of {self.patch_size} pixels; "
                "some must be hidden and some seen, so give another mask_ratio or a smaller patch_size"
            )
        return n_masked
