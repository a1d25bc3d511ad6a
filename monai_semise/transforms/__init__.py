# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Image loading that names what it cannot use, and augmentation of whole batches."""

from __future__ import annotations

from monai_semise.transforms.batch_augment import (
    RandBatchAugment,
    RandBatchAugmentD,
    RandBatchAugmentd,
    RandBatchAugmentDict,
)
from monai_semise.transforms.load_checked_image import (
    LoadCheckedImage,
    LoadCheckedImageD,
    LoadCheckedImaged,
    LoadCheckedImageDict,
)

__all__ = [
    "LoadCheckedImage",
    "LoadCheckedImageD",
    "LoadCheckedImageDict",
    "LoadCheckedImaged",
    "RandBatchAugment",
    "RandBatchAugmentD",
    "RandBatchAugmentDict",
    "RandBatchAugmentd",
]
