# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks.convolutions import Convolution
from monai.networks.nets.flexible_unet import FLEXUNET_BACKBONE
from monai.networks.nets.resnet import ResNetFeatures
from torch import Tensor, nn
from torch.nn import functional as F

from monai_semise.methods.masked_image_net import MaskedImageNet
from monai_semise.methods.pixel_head import PixelHead
from monai_semise.methods.reconstruction_loss import ReconstructionLoss
from monai_semise.methods.sparse_encoding import encode_visible, visible_pyramid
from monai_semise.utils import InputError

__all__ = ["MaeLoss", "MaeNet"]

EPSILON = 1e-6
FINEST = 2
"""The decoder reads the feature maps from this scale on, that is from stride 2 ** 2."""


class MaeNet(MaskedImageNet):
    """MAE on a convolutional encoder, which sees nothing of hidden patches, not even that they are there.

    Args:
        backbone: a MONAI ResNet, see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        image_size: see :class:`monai_semise.methods.masked_image_net.MaskedImageNet`, like the rest.
        patch_size: pixels along each axis of a patch.
        mask_ratio: share of the patches that is hidden.

    Raises:
        InputError: for another backbone.

    Example:
        >>> network = MaeNet("resnet10", image_size=64, patch_size=16)
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
        if not isinstance(self.encoder, ResNetFeatures):
            raise InputError(f"backbone: mae empties the layers of a ResNet, {backbone!r} is none; use resnet50")
        channels = FLEXUNET_BACKBONE.register_dict[backbone]["feature_channel"]
        self.n_scales = len(channels)
        self.decoder = _PyramidDecoder(spatial_dims, channels[FINEST - 1 :], in_channels)

    def reconstruct(self, image: Tensor, masked: Tensor) -> Tensor:
        """See :meth:`monai_semise.methods.masked_image_net.MaskedImageNet.reconstruct`."""
        pyramid = visible_pyramid(~masked, self.n_scales)
        features = encode_visible(self.encoder, image, pyramid)
        return self.decoder(features[FINEST - 1 :], pyramid[FINEST:], image.shape[2:])


class _PyramidDecoder(nn.Module):
    """A light decoder: at each scale, from the deepest, fill what is empty, join, and convolve once.

    Args:
        spatial_dims: 2 or 3.
        channels: of the feature maps, the finest first; the decoder's own are a quarter of them.
        out_channels: channels of the image.
    """

    def __init__(self, spatial_dims: int, channels: Sequence[int], out_channels: int) -> None:
        super().__init__()
        widths = [n // 4 for n in channels]
        self.tokens = nn.ParameterList(torch.zeros(n, *[1] * spatial_dims) for n in channels)
        self.lateral = nn.ModuleList(
            Convolution(spatial_dims, n, width, kernel_size=1, conv_only=True) for n, width in zip(channels, widths)
        )
        # the deepest has nothing to join; each other block hands on what the next finer scale adds to
        self.blocks = nn.ModuleList(
            Convolution(spatial_dims, width, finer, norm="BATCH", act="RELU", bias=False)
            for width, finer in zip(widths, [widths[0], *widths])
        )
        self.head = PixelHead(spatial_dims, widths[0], out_channels, 2**FINEST)

    def forward(self, features: Sequence[Tensor], visible: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Pixels of an image of that size, from its feature maps and where they hold something, the finest first."""
        decoded = None
        for scale in reversed(range(len(features))):
            filled = torch.where(visible[scale], features[scale], self.tokens[scale])
            joined = self.lateral[scale](filled)
            if decoded is not None:
                joined = joined + F.interpolate(decoded, joined.shape[2:])
            decoded = self.blocks[scale](joined)
        return self.head(decoded, size)


class MaeLoss(ReconstructionLoss):
    r"""The loss of MAE (He et al. 2021, arXiv 2111.06377): squared error of the hidden, normalized pixels.

    .. math::
        L = \frac{1}{N} \sum_i \frac{1}{|M_i|} \sum_{m \in M_i} \frac{1}{D}
            \left\lVert \hat x_{im} - \frac{x_{im} - \mu_{im}}{\sqrt{\sigma_{im}^2 + \epsilon}} \right\rVert^2

    with mean and variance over the D values of each patch, and :math:`\epsilon = 10^{-6}`.

    Example:
        >>> MaeLoss()(torch.tensor([[[[[1.0, -1.0]], [[30.0, 70.0]]]]]), {})
        tensor(4.)
    """

    def error(self, prediction: Tensor, pixels: Tensor) -> Tensor:
        """See :meth:`monai_semise.methods.reconstruction_loss.ReconstructionLoss.error`."""
        return (prediction - F.layer_norm(pixels, pixels.shape[-1:], eps=EPSILON)) ** 2
