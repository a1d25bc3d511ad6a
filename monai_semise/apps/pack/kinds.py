# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["KINDS", "Kind"]

Settings = Mapping[str, Any]


class Kind(NamedTuple):
    """What a run of one training bundle becomes.

    Example:
        >>> KINDS["semise_classification"].folder
        'semise_severity_classification'
    """

    folder: str
    """Name of the bundle folder, after the Model Zoo's rule: lower case, ending with the task."""
    title: str
    inference: str
    """Config beside the training one."""
    files: tuple[str, ...]
    """Files of the run that inference reads, beside ``model.pt``."""
    output: Callable[[Settings], dict[str, Any]]
    """Data format of the network's output, for ``metadata.json``."""


def _embedding(settings: Settings) -> dict[str, Any]:
    heads = {"0": "projection, space of the healthy reference", "1": "preference embedding"}
    heads |= {"2": "contrast embedding"} if settings["separate_heads"] else {}
    return {
        "type": "embedding",
        "format": "severity embedding",
        "num_channels": len(heads),
        "spatial_shape": [settings["embedding_dim"]],
        "channel_def": heads,
    }


def _grades(settings: Settings) -> dict[str, Any]:
    names = list(settings["grade_names"])
    channels = names if settings["head"] == "softmax" else [f"worse than {name}" for name in names[:-1]]
    return {
        "type": "probabilities",
        "format": "classes",
        "num_channels": len(channels),
        "spatial_shape": [],
        "channel_def": {str(n): name for n, name in enumerate(channels)},
    }


def _masks(settings: Settings) -> dict[str, Any]:
    names = [*(["background"] if settings["exclusive"] else []), *settings["structures"]]
    return {
        "type": "image",
        "format": "segmentation",
        "num_channels": len(names),
        "spatial_shape": [settings["image_size"]] * settings["spatial_dims"],
        "channel_def": {str(n): name for n, name in enumerate(names)},
    }


KINDS = {
    "semise_pretrain": Kind(
        "semise_severity_pretrain",
        "Severity representation and score",
        "semise_severity_inference",
        ("calibration.json", "training_embeddings.pt", "encoder.pt"),
        _embedding,
    ),
    "semise_classification": Kind(
        "semise_severity_classification",
        "Severity classification",
        "semise_classification_inference",
        ("calibration.json", "training_embeddings.pt"),
        _grades,
    ),
    "semise_segmentation": Kind(
        "semise_lesion_segmentation",
        "Lesion segmentation",
        "semise_segmentation_inference",
        (),
        _masks,
    ),
}
"""The training bundles by name."""
