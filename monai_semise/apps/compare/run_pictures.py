# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.utils.data import Dataset

from monai_semise.apps.compare.stage import Stage
from monai_semise.apps.compare.stage_configs import read_stage_config
from monai_semise.engines import embed_images, probabilities_from_logits, resize_linearly
from monai_semise.utils import load_checkpoint, plain_tensor
from monai_semise.visualize import overlay_png

__all__ = ["MOST_EMBEDDED", "heat_map_rows", "test_embeddings"]

MOST_EMBEDDED = 500
"""Test images in a picture of embeddings, at most."""
N_HEAT_MAPS = 5
PICTURE = 224
"""Pixels of the longer side of a heat map."""


def test_embeddings(stages: Mapping[str, Stage]) -> tuple[dict[str, Tensor], Tensor]:
    """What the frozen encoders make of the same test images.

    Args:
        stages: finished classification of each method.

    Returns:
        features of shape (N, F) by method, and the grades of shape (N,); of many images, some evenly spread over the
        datalist.
    """
    parsers = {name: _parser(stage) for name, stage in stages.items()}
    dataset: Any = next(iter(parsers.values())).get_parsed_content("test::images")
    step = -(-len(dataset) // MOST_EMBEDDED)
    chosen = list(range(0, len(dataset), step))
    features: dict[str, Tensor] = {}
    severity = torch.empty(0)
    for name, parser in parsers.items():
        network: Any = parser.get_parsed_content("network")
        embedded = embed_images(network, dataset, chosen, embed=network.features)
        features[name], severity = embedded.embeddings, embedded.severity
    return features, severity


def heat_map_rows(stages: Mapping[str, Stage]) -> tuple[list[list[bytes]], list[str]]:
    """Fig. 2: some test images, and how probable each method finds it that a pixel belongs to a structure.

    Args:
        stages: finished segmentation of each method.

    Returns:
        rows of PNG files, an image each, and the name of each column. The outline is that of the true masks.
    """
    rows: list[list[bytes]] = []
    parsers = {name: _parser(stage) for name, stage in stages.items()}
    first = next(iter(parsers.values()))
    dataset: Any = first.get_parsed_content("test_dataset")
    shown = [_item(dataset, n) for n in _spread(len(dataset), N_HEAT_MAPS)]
    for image, masks in shown:
        heat = masks.amax(dim=0) if image.ndim == 4 else None  # of a volume, the slice with most of it
        rows.append([overlay_png(image, heat, opacity=0, size=PICTURE, masks=masks)])
    for name, parser in parsers.items():
        network: Any = parser.get_parsed_content("network")
        network.load_state_dict(load_checkpoint(stages[name].folder / "model.pt"))
        inferer, exclusive = (parser.get_parsed_content(entry) for entry in ("validate::inferer", "exclusive"))
        for row, (image, masks) in zip(rows, shown):
            heat = _probability(network, inferer, image, exclusive)
            row.append(overlay_png(image, heat, size=PICTURE, masks=masks))
    return rows, ["image", *parsers]


def _parser(stage: Stage) -> ConfigParser:
    parser = read_stage_config(stage.files, {**stage.settings, "cache_rate": "0"})
    parser.get_parsed_content("imports")
    return parser


def _spread(n_images: int, n_shown: int) -> Sequence[int]:
    """Positions evenly spread over the images."""
    n_shown = min(n_images, n_shown)
    return [(2 * n + 1) * n_images // (2 * n_shown) for n in range(n_shown)]


def _item(dataset: Dataset, n: int) -> tuple[Tensor, Tensor]:
    """An image in [0, 1], shape (C, *spatial), and its masks in the same size, shape (S, *spatial)."""
    item = dataset[n]
    image, masks = plain_tensor(item["image"]), plain_tensor(item["mask"]).float()
    return image, (resize_linearly(masks[None], image.shape[1:])[0] > 0.5).float()


@torch.no_grad()
def _probability(network: nn.Module, inferer: Inferer, image: Tensor, exclusive: bool) -> Tensor:
    """Of any structure, shape (*spatial)."""
    device = next(network.parameters()).device
    logits = inferer(image[None].to(device), network.eval())
    return probabilities_from_logits(logits.float(), exclusive)[0].amax(dim=0).cpu()
