# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.blocks.convolutions import Convolution
from monai.networks.utils import pixelshuffle
from torch import Tensor, nn

__all__ = ["PixelHead"]


class PixelHead(nn.Module):
    """One linear layer from each cell of a feature map to the pixels under it.

    Args:
        spatial_dims: 2 or 3.
        n_features: channels of the feature map.
        out_channels: channels of the image.
        stride: pixels along a cell.

    Example:
        >>> import torch
        >>> PixelHead(2, n_features=8, out_channels=3, stride=32)(torch.rand(1, 8, 2, 3), (64, 80)).shape
        torch.Size([1, 3, 64, 80])
    """

    def __init__(self, spatial_dims: int, n_features: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.stride = stride
        self.linear = Convolution(
            spatial_dims, n_features, out_channels * stride**spatial_dims, kernel_size=1, conv_only=True
        )

    def forward(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """
        Args:
            features: shape (N, n_features, *cells).
            size: pixels along each axis of the image, at most those under the cells.

        Returns:
            tensor of shape (N, out_channels, *size).
        """
        pixels = pixelshuffle(self.linear(features), self.spatial_dims, self.stride)
        return pixels[(..., *(slice(length) for length in size))]
