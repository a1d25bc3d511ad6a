# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.colors import to_hex
from monai.visualize import GradCAMpp
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from monai_semise.utils import InputError
from monai_semise.visualize.overlays import COLOURS

__all__ = ["OUTLINES", "overlay_png", "severity_heat_maps"]

FEWEST_POINTS = 4
"""Of a map along each side, so that it points somewhere."""
FIRST_STRIDE = 4
"""Of the first stage of a ResNet; it doubles with each stage."""

OUTLINES = tuple(to_hex(color) for color in COLOURS)
"""Colors of outlines, over and over."""
RIM = 2
"""Pixels of an outline's width."""


class _Score(nn.Module):
    """A network whose one output "class" is the severity score, as MONAI's class activation maps want it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network.score(image)[:, None]


def severity_heat_maps(network: nn.Module, image: Tensor) -> Tensor:
    """Where an image looks severe: MONAI's Grad-CAM++ (Chattopadhay et al. 2018, arXiv 1710.11063) of the severity
    score, on the last stage of the encoder that still has at least four points along each side of the image.

    Args:
        network: has ``score(image)`` of shape (N,) and a ResNet ``encoder``; its mode is restored afterwards.
        image: batch of shape (N, C, *spatial).

    Returns:
        maps of shape (N, *spatial) in [0, 1], each scaled by itself; all 0 where nothing raises the score.

    Raises:
        InputError: when the encoder has no stages called ``layer...``.
    """
    stages = [name for name, _ in network.encoder.named_children() if name.startswith("layer")]  # type: ignore[operator]
    if not stages:
        raise InputError(f"heat maps: {type(network.encoder).__name__} is not a ResNet; they need one")
    fine = [name for n, name in enumerate(stages) if min(image.shape[2:]) >= FEWEST_POINTS * FIRST_STRIDE * 2**n]
    stage = fine[-1] if fine else stages[0]
    training = network.training
    maps = []
    with torch.enable_grad():
        cam = GradCAMpp(_Score(network.eval()), target_layers=f"network.encoder.{stage}", postprocessing=nn.ReLU())
        for one in image:  # MONAI sums the gradients of a batch
            maps.append(cam(one[None].detach().requires_grad_(), class_idx=0)[0, 0].detach())
    network.train(training)
    heat = torch.stack(maps)
    peak = heat.flatten(1).amax(dim=1).clamp(min=torch.finfo(heat.dtype).tiny)
    return heat / peak.reshape(-1, *[1] * (heat.ndim - 1))


def overlay_png(
    image: Tensor, heat: Tensor | None = None, opacity: float = 0.5, size: int = 256, masks: Tensor | None = None
) -> bytes:
    """A picture of an image, with its heat map and the outlines of its masks over it; of a volume, the slice along z
    with the most heat.

    Args:
        image: shape (C, x, y[, z]), values in [0, 1]; shown in gray, or in color where it has three channels.
        heat: shape (x, y[, z]), values in [0, 1]; None shows the image alone, of a volume the middle slice.
        opacity: of the hottest places.
        size: pixels of the longer side.
        masks: 0 and 1, shape (S, x, y[, z]); each outlined in a color of its own, see :data:`OUTLINES`.

    Returns:
        a PNG file.
    """
    picture = image.detach().float().cpu()
    warmth = None if heat is None else heat.detach().float().cpu()
    outlined = picture.new_zeros((0, *picture.shape[1:])) if masks is None else masks.detach().cpu()
    if picture.ndim == 4:
        middle = picture.shape[-1] // 2
        z = middle if warmth is None or not warmth.any() else int(warmth.sum(dim=(0, 1)).argmax())
        picture, warmth = picture[..., z], None if warmth is None else warmth[..., z]
        outlined = outlined[..., z]
    picture = picture if len(picture) == 3 else picture[:1].expand(3, -1, -1)
    pixels = picture.permute(2, 1, 0).clamp(0, 1).numpy()  # x runs along a row
    if warmth is not None:
        values = warmth.T.clamp(0, 1).numpy()
        weight = opacity * values[..., None]
        pixels = (1 - weight) * pixels + weight * colormaps["inferno"](values)[..., :3]
    drawn = Image.fromarray(np.round(pixels * 255).astype(np.uint8))
    scale = size / max(drawn.size)
    width, height = (max(1, round(side * scale)) for side in drawn.size)
    drawn = drawn.resize((width, height), Image.Resampling.BILINEAR)
    for n, mask in enumerate(outlined):
        inside = Image.fromarray(mask.T.bool().numpy()).resize((width, height), Image.Resampling.NEAREST)
        drawn.paste(OUTLINES[n % len(OUTLINES)], mask=Image.fromarray(_edge(np.asarray(inside))))
    stream = io.BytesIO()
    drawn.save(stream, format="PNG")
    return stream.getvalue()


def _edge(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask along its rim, or along the border of the picture."""
    return mask & ~ndimage.binary_erosion(mask, iterations=RIM)
