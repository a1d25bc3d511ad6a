# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Sequence

from monai.networks.nets import FlexibleUNet
from torch import Tensor
from torch.nn import functional as F

from monai_semise.networks.encoders import load_encoder_weights
from monai_semise.networks.freezing import FreezableEncoder

__all__ = ["SegmentationUNet"]


class SegmentationUNet(FreezableEncoder, FlexibleUNet):
    """MONAI's :class:`~monai.networks.nets.FlexibleUNet` on a frozen encoder, for images of any size.

    The weights have the names and shapes that they have in ``FlexibleUNet``. That one works with sizes that are
    multiples of 32 only; here the image is padded with its edge and the output cropped back.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the output.
        backbone: encoder, a name in MONAI's ``FLEXUNET_BACKBONE``.
        spatial_dims: 2 or 3.
        encoder_weights: ``encoder.pt`` of pretraining; None starts at random.
        freeze: whether the encoder stays as it is.
        decoder_channels: channels of the five decoder stages, the deepest first.
        norm: normalization in the decoder, as MONAI's ``Norm`` factory takes it.
        dropout: probability of dropping a feature in the decoder.
        interp_mode: how the decoder enlarges feature maps: ``"nearest"``, or ``"linear"`` in any number of dimensions.

    Example:
        >>> import torch
        >>> network = SegmentationUNet(in_channels=1, out_channels=2, backbone="resnet10").eval()
        >>> network(torch.rand(1, 1, 33, 47)).shape
        torch.Size([1, 2, 33, 47])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        encoder_weights: str | os.PathLike | None = None,
        freeze: bool = True,
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
        norm: str | tuple = ("batch", {"eps": 1e-3, "momentum": 0.1}),
        dropout: float = 0.0,
        interp_mode: str = "nearest",
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            backbone=backbone,
            decoder_channels=tuple(decoder_channels),
            spatial_dims=spatial_dims,
            norm=norm,
            dropout=dropout,
            interp_mode=interp_mode,
        )
        self.stride = 2 ** len(self.decoder.blocks)  # the deepest feature map is so much smaller than the image
        if encoder_weights is not None:
            load_encoder_weights(self.encoder, encoder_weights)
        if freeze:
            self.freeze_encoder()

    def forward(self, inputs: Tensor) -> Tensor:
        """
        Args:
            inputs: batch of shape (N, in_channels, *spatial), any size.

        Returns:
            logits of shape (N, out_channels, *spatial).
        """
        size = inputs.shape[2:]
        padding: list[int] = []
        for length in size[::-1]:  # F.pad counts the axes from the last
            padding += [0, -length % self.stride]
        padded = F.pad(inputs, padding, mode="replicate")
        logits = self.segmentation_head(self.decoder(self.encoder(padded), self.skip_connect))
        for axis, length in enumerate(size):
            logits = logits.narrow(axis + 2, 0, length)
        return logits
