# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from monai.bundle import ConfigParser
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.utils.data import Dataset

from monai_semise.apps.compare.left_out import reason_of
from monai_semise.apps.compare.stage import Stage
from monai_semise.apps.compare.stage_configs import read_stage_config
from monai_semise.engines import embed_images, probabilities_from_logits, resize_linearly
from monai_semise.utils import load_checkpoint, plain_tensor
from monai_semise.visualize import overlay_png
from monai_semise.visualize.embedding_panels import PrincipalPlane, principal_plane

__all__ = ["MOST_EMBEDDED", "LeftOut", "embedding_planes", "heat_map_rows"]

MOST_EMBEDDED = 500
"""Test images in a picture of embeddings, at most."""
N_HEAT_MAPS = 5
PICTURE = 224
"""Pixels of the longer side of a heat map."""
LeftOut = dict[str, str]
"""Why a method is not in the figure."""
Made = TypeVar("Made")


def embedding_planes(stages: Mapping[str, Stage]) -> tuple[dict[str, PrincipalPlane], Tensor, LeftOut]:
    """What the frozen encoders make of the same test images: the plane in which the images differ most.

    Args:
        stages: finished classification of each method.

    Returns:
        planes of N images by method, and the grades of shape (N,); of many images, some evenly spread over the
        datalist. Last, methods that have no plane.
    """
    made, left_out = _of_each(stages, _embedding_plane)
    planes = {name: plane for name, (plane, _) in made.items()}
    severity = next((severity for _, severity in made.values()), torch.empty(0))
    return planes, severity, left_out


def heat_map_rows(stages: Mapping[str, Stage]) -> tuple[list[list[bytes]], list[str], LeftOut]:
    """Fig. 2: some test images, and how probable each method finds it that a pixel belongs to a structure.

    Args:
        stages: finished segmentation of each method.

    Returns:
        rows of PNG files, an image each, the name of each column, and methods that have none. The outline is that of
        the true masks.
    """
    shown: list[tuple[Tensor, Tensor]] = []

    def make(stage: Stage) -> list[bytes]:
        parser = _parser(stage)
        if not shown:  # the same for all methods
            dataset = parser.get_parsed_content("test_dataset")
            shown.extend(_item(dataset, n) for n in _spread(len(dataset), N_HEAT_MAPS))
        return _heat_maps(stage, parser, shown)

    made, left_out = _of_each(stages, make)
    columns = [[_outlined(image, masks) for image, masks in shown], *made.values()] if made else []
    return [list(row) for row in zip(*columns)], ["image", *made], left_out


def _of_each(stages: Mapping[str, Stage], make: Callable[[Stage], Made]) -> tuple[dict[str, Made], LeftOut]:
    made: dict[str, Made] = {}
    left_out: LeftOut = {}
    for name, stage in stages.items():
        try:
            made[name] = make(stage)
        except Exception as error:  # a run that cannot be read must not keep the others from the figure
            left_out[name] = reason_of(error)
    return made, left_out


def _embedding_plane(stage: Stage) -> tuple[PrincipalPlane, Tensor]:
    parser = _parser(stage)
    dataset, network = (parser.get_parsed_content(entry) for entry in ("test::images", "network"))
    step = -(-len(dataset) // MOST_EMBEDDED)
    embedded = embed_images(network, dataset, list(range(0, len(dataset), step)), embed=network.features)
    return principal_plane(embedded.embeddings), embedded.severity


def _heat_maps(stage: Stage, parser: ConfigParser, shown: Sequence[tuple[Tensor, Tensor]]) -> list[bytes]:
    entries = ("network", "validate::inferer", "exclusive")
    network, inferer, exclusive = (parser.get_parsed_content(entry) for entry in entries)
    network.load_state_dict(load_checkpoint(stage.folder / "model.pt"))
    return [
        overlay_png(image, _probability(network, inferer, image, exclusive), size=PICTURE, masks=masks)
        for image, masks in shown
    ]


def _outlined(image: Tensor, masks: Tensor) -> bytes:
    most = masks.amax(dim=0) if image.ndim == 4 else None  # of a volume, the slice with most of it
    return overlay_png(image, most, opacity=0, size=PICTURE, masks=masks)


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
