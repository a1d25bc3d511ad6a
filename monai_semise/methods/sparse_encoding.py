# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from monai.networks.layers.factories import Pool
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["encode_visible", "visible_pyramid"]


def visible_pyramid(visible: Tensor, n_scales: int) -> list[Tensor]:
    """Which cells of feature maps hold something: those over a visible pixel.

    Args:
        visible: shape (N, 1, *spatial), bool.
        n_scales: how often the image is halved.

    Returns:
        tensors like ``visible`` at strides 1, 2, 4, ..., 2 ** n_scales.

    Example:
        >>> visible_pyramid(torch.tensor([[[[True, False, False, False]] * 4]]), 2)[1][0, 0]
        tensor([[ True, False],
                [ True, False]])
    """
    halve = Pool[Pool.MAX, visible.ndim - 2](2, ceil_mode=True)
    scales = [visible]
    for _ in range(n_scales):
        scales.append(halve(scales[-1].float()).bool())
    return scales


def encode_visible(encoder: nn.Module, image: Tensor, pyramid: list[Tensor]) -> list[Tensor]:
    """Feature maps of what is visible of an image: those of a sparse convolution, computed densely.

    Masked positions are emptied before the first layer and stay empty through all of them, as in SparK (Tian et al.
    2023, arXiv 2301.03580). Batch normalization, which follows each convolution, sees the visible positions alone and
    puts zeros elsewhere, so that its statistics are those of images without holes. The encoder itself, its weights and
    their names stay as they are.

    Args:
        encoder: MONAI ResNet encoder, which has one convolution before each batch normalization.
        image: batch of shape (N, C, *spatial).
        pyramid: see :func:`visible_pyramid`, with a tensor for each stride of the encoder.

    Returns:
        feature maps, zero where nothing is visible.

    Example:
        >>> from monai_semise.networks import build_encoder
        >>> visible = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
        >>> visible[..., :32] = True
        >>> encoder, _ = build_encoder("resnet10")
        >>> features = encode_visible(encoder, torch.rand(1, 1, 64, 64), visible_pyramid(visible, 5))
        >>> features[-1].amax(dim=(0, 1)) > 0
        tensor([[ True, False],
                [ True, False]])
    """
    cells = {tuple(scale.shape[2:]): scale for scale in pyramid}
    rows = {size: scale.flatten().nonzero().flatten() for size, scale in cells.items()}
    whole: list[torch.Size] = []  # shape, channels last, of the map that is being normalized

    def gather(norm: nn.Module, inputs: tuple[Any, ...]) -> Tensor:
        features = inputs[0].movedim(1, -1)
        whole[:] = [features.shape]
        seen = features.flatten(0, -2)[rows[tuple(features.shape[1:-1])]]
        return seen.reshape(*seen.shape, *[1] * (features.ndim - 2))

    def scatter(norm: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        (shape,) = whole
        empty = output.new_zeros(shape).flatten(0, -2)
        return empty.index_copy(0, rows[tuple(shape[1:-1])], output.flatten(1)).reshape(shape).movedim(-1, 1)

    def blank(pool: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return output * cells[tuple(output.shape[2:])]

    with ExitStack() as hooks:
        for module in encoder.modules():
            if isinstance(module, _BatchNorm):
                hooks.enter_context(module.register_forward_pre_hook(gather))
                hooks.enter_context(module.register_forward_hook(scatter))
            elif isinstance(module, (nn.MaxPool2d, nn.MaxPool3d)):
                hooks.enter_context(module.register_forward_hook(blank))
        return encoder(image.masked_fill(~pyramid[0], 0))
