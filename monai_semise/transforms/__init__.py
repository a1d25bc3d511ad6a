# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Loading that names what it cannot use, DICOM and mammograms as a viewer shows them, augmentation of batches."""

from __future__ import annotations

from monai_semise.transforms.batch_augment import (
    RandBatchAugment,
    RandBatchAugmentD,
    RandBatchAugmentd,
    RandBatchAugmentDict,
    augment_config,
)
from monai_semise.transforms.crop_breast import CropBreast, CropBreastD, CropBreastd, CropBreastDict
from monai_semise.transforms.dicom_to_presentation import (
    DicomToPresentation,
    DicomToPresentationD,
    DicomToPresentationd,
    DicomToPresentationDict,
)
from monai_semise.transforms.load_checked_image import (
    LoadCheckedImage,
    LoadCheckedImageD,
    LoadCheckedImaged,
    LoadCheckedImageDict,
)
from monai_semise.transforms.load_mask import LoadMask, LoadMaskD, LoadMaskd, LoadMaskDict
from monai_semise.transforms.local_contrast import LocalContrast, LocalContrastD, LocalContrastd, LocalContrastDict
from monai_semise.transforms.mirror_right_breast import (
    MirrorRightBreast,
    MirrorRightBreastD,
    MirrorRightBreastd,
    MirrorRightBreastDict,
)

__all__ = [
    "CropBreast",
    "CropBreastD",
    "CropBreastDict",
    "CropBreastd",
    "DicomToPresentation",
    "DicomToPresentationD",
    "DicomToPresentationDict",
    "DicomToPresentationd",
    "LoadCheckedImage",
    "LoadCheckedImageD",
    "LoadCheckedImageDict",
    "LoadCheckedImaged",
    "LoadMask",
    "LoadMaskD",
    "LoadMaskDict",
    "LoadMaskd",
    "LocalContrast",
    "LocalContrastD",
    "LocalContrastDict",
    "LocalContrastd",
    "MirrorRightBreast",
    "MirrorRightBreastD",
    "MirrorRightBreastDict",
    "MirrorRightBreastd",
    "RandBatchAugment",
    "RandBatchAugmentD",
    "RandBatchAugmentDict",
    "RandBatchAugmentd",
    "augment_config",
]
