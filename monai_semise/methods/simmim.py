# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from monai_semise.methods.masked_image_net import MaskedImageNet
from monai_semise.methods.pixel_head import PixelHead
from monai_semise.methods.reconstruction_loss import ReconstructionLoss

__all__ = ["SimmimLoss", "SimmimNet"]

STRIDE = 32
"""Pixels along a cell of the encoder's last feature map."""


class SimmimNet(MaskedImageNet):
    """SimMIM on a convolutional encoder: a learned value hides pixels, one linear layer predicts them.

    Args:
        backbone: see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        image_size: see :class:`monai_semise.methods.masked_image_net.MaskedImageNet`, like the rest.
        patch_size: pixels along each axis of a patch.
        mask_ratio: share of the patches that is hidden.

    Attributes:
        mask_token: what hides a pixel, a value for each channel.

    Example:
        >>> network = SimmimNet("resnet10", image_size=64, patch_size=16)
        >>> network(torch.rand(4, 1, 64, 64)).shape  # images, prediction and pixels, 10 of 16 patches, 16 * 16 pixels
        torch.Size([4, 2, 10, 256])
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        in_channels: int = 1,
        image_size: int | Sequence[int] = 224,
        patch_size: int | None = None,
        mask_ratio: float = 0.6,
    ) -> None:
        super().__init__(backbone, spatial_dims, in_channels, image_size, patch_size, mask_ratio)
        self.mask_token = nn.Parameter(torch.zeros(in_channels, *[1] * spatial_dims))
        self.predict = PixelHead(spatial_dims, self.n_features, in_channels, STRIDE)

    def reconstruct(self, image: Tensor, masked: Tensor) -> Tensor:
        """See :meth:`monai_semise.methods.masked_image_net.MaskedImageNet.reconstruct`."""
        features = self.encoder(torch.where(masked, self.mask_token, image))[-1]
        return self.predict(features, image.shape[2:])


class SimmimLoss(ReconstructionLoss):
    r"""The loss of SimMIM (Xie et al. 2021, arXiv 2111.09886): absolute error of the hidden pixels.

    .. math::
        L = \frac{1}{N} \sum_i \frac{1}{|\Omega_i|} \sum_{p \in \Omega_i} |\hat x_{ip} - x_{ip}|

    Example:
        >>> SimmimLoss()(torch.tensor([[[[[0.5, 0.5]], [[1.0, 0.2]]]]]), {})
        tensor(0.4000)
    """

    def error(self, prediction: Tensor, pixels: Tensor) -> Tensor:
        """See :meth:`monai_semise.methods.reconstruction_loss.ReconstructionLoss.error`."""
        return (prediction - pixels).abs()
