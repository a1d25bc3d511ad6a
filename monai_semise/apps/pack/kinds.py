# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from monai.utils import ensure_tuple_rep

from monai_semise.utils import InputError

__all__ = ["KINDS", "Kind", "channel_names", "network_size", "packed_kind"]

Settings = Mapping[str, Any]

SEMISE = (
    "Tran et al., SEMISE: Semi-supervised learning for severity representation in medical image, arXiv 2501.03848, 2025"
)
CORN = (
    "Shi, Cao, Raschka, Deep neural networks for rank-consistent ordinal regression based on conditional "
    "probabilities, arXiv 2111.08851, 2021"
)
UNET = (
    "Ronneberger, Fischer, Brox, U-Net: Convolutional networks for biomedical image segmentation, "
    "arXiv 1505.04597, 2015"
)


class Kind(NamedTuple):
    """What a run of one training bundle becomes.

    Example:
        >>> KINDS["semise_classification"].folder
        'semise_severity_classification'
    """

    folder: str
    """Name of the bundle folder, after the Model Zoo's rule: lower case, ending with the task."""
    title: str
    task: str
    """In a few words, for ``metadata.json``."""
    description: str
    references: tuple[str, ...]
    inference: str
    """Config beside the training one."""
    overlay: Callable[[Settings], str | None]
    """The overlay that the run was made with, where its settings tell of one."""
    files: tuple[str, ...]
    """Files of the run that inference reads, beside ``model.pt``."""
    output: Callable[[Settings], dict[str, Any]]
    """Data format of the network's output, for ``metadata.json``."""
    enclosed: tuple[str, ...] = ()
    """Overlays with which training can go on, put beside ``train.json``."""


def network_size(settings: Settings) -> list[int]:
    """Pixels along each axis of what the network sees: the resized image, or a window of it.

    Example:
        >>> [network_size({"image_size": size, "spatial_dims": 2}) for size in (64, [32, 48])]
        [[64, 64], [32, 48]]
    """
    return list(ensure_tuple_rep(settings.get("window", settings["image_size"]), settings["spatial_dims"]))


def channel_names(names: Sequence[str]) -> dict[str, str]:
    """``channel_def`` of ``metadata.json``.

    Example:
        >>> channel_names(["healthy", "severe"])
        {'0': 'healthy', '1': 'severe'}
    """
    return {str(n): name for n, name in enumerate(names)}


def _embedding(settings: Settings) -> dict[str, Any]:
    heads = ["projection, space of the healthy reference", "preference embedding"]
    has_thresholds = settings.get("n_grades") is not None
    if has_thresholds:
        heads.append("logits of worse than a grade, given at least that grade (CORN); then zeros")
    if settings["separate_heads"]:
        heads.append("contrast embedding")
    elif has_thresholds:
        heads.append("preference embedding, once more")
    return {
        "type": "tuples",
        "format": "latent",
        "num_channels": len(heads),
        "spatial_shape": [settings["embedding_dim"]],
        "channel_def": channel_names(heads),
    }


def _grades(settings: Settings) -> dict[str, Any]:
    grades = list(settings["grade_names"])
    worse = [f"worse than {grade}, given at least {grade}" for grade in grades[:-1]]
    names = [f"logit of {name}" for name in (worse if settings["head"] == "corn" else grades)]
    return {
        "type": "probabilities",
        "format": "classes",
        "num_channels": len(names),
        "spatial_shape": [],
        "channel_def": channel_names(names),
    }


def _masks(settings: Settings) -> dict[str, Any]:
    names = [*(["background"] if settings["exclusive"] else []), *settings["structures"]]
    return {
        "type": "image",
        "format": "labels" if settings["exclusive"] else "classes",
        "num_channels": len(names),
        "spatial_shape": network_size(settings),
        "channel_def": channel_names([f"logit of {name}" for name in names]),
    }


KINDS = {
    "semise_pretrain": Kind(
        folder="semise_severity_pretrain",
        title="Severity representation and score",
        task="Semi-supervised severity representation learning",
        description="An encoder in whose embedding the distance from healthy tells how severe a disease is (SEMISE). "
        "It learned from graded and, where there were any, ungraded images: first to tell healthy from diseased, then "
        "with NT-Xent joined with a preference loss. Inference scores images and orders them, the most severe first.",
        references=(SEMISE,),
        inference="semise_severity_inference",
        overlay=lambda settings: "explicit_pairs.json" if "pairs" in settings else None,
        files=("calibration.json", "training_embeddings.pt"),
        output=_embedding,
        enclosed=("pairs_only.json",),
    ),
    "semise_classification": Kind(
        folder="semise_severity_classification",
        title="Severity classification",
        task="Classification of images by the severity of a disease",
        description="Grades how severe a disease is in an image: an encoder, as SEMISE pretrains it, dense layers, and "
        "an output of one logit a grade, or of K - 1 ordinal ones (CORN). Inference grades images and orders them by "
        "the expected grade, the most severe first.",
        references=(SEMISE, CORN),
        inference="semise_classification_inference",
        overlay=lambda settings: (
            "classification/corn.json"
            if settings["head"] == "corn"
            else "classification/focal.json"
            if "focal_gamma" in settings
            else None
        ),
        files=("calibration.json", "training_embeddings.pt"),
        output=_grades,
    ),
    "semise_segmentation": Kind(
        folder="semise_lesion_segmentation",
        title="Lesion segmentation",
        task="Segmentation of lesions and other structures",
        description="Outlines lesions and other structures in an image: a UNet (MONAI's FlexibleUNet) on an encoder as "
        "SEMISE pretrains it. Inference writes masks in the size and place of each image, and says how large they are.",
        references=(SEMISE, UNET),
        inference="semise_segmentation_inference",
        overlay=lambda settings: "segmentation/windows.json" if "window" in settings else None,
        files=(),
        output=_masks,
    ),
}
"""The training bundles by name."""


def packed_kind(folder: Path) -> str:
    """Name of the training bundle that a packed bundle folder was made of.

    Raises:
        InputError: when it is none.
    """
    names = {kind.folder: name for name, kind in KINDS.items()}
    if folder.name not in names or not (folder / "configs" / "inference.json").is_file():
        raise InputError(
            f"{folder}: is no bundle folder ({', '.join(sorted(names))}); make one of a training run with "
            "python -m monai_semise pack"
        )
    return names[folder.name]
