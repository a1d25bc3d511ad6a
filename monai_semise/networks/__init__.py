# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Encoder, projection and preference head; weights in and out."""

from __future__ import annotations

from monai_semise.networks.encoders import (
    SemiseResNetEncoder,
    build_encoder,
    load_encoder_weights,
    load_imagenet_weights,
)
from monai_semise.networks.freezing import FreezableEncoder
from monai_semise.networks.learned_reference_net import LearnedReferenceNet
from monai_semise.networks.parameter_groups import discriminative_groups
from monai_semise.networks.segmentation_unet import SegmentationUNet
from monai_semise.networks.semise_net import SemiseNet
from monai_semise.networks.severity_classifier import SeverityClassifier
from monai_semise.networks.severity_net import SeverityNet

__all__ = [
    "FreezableEncoder",
    "LearnedReferenceNet",
    "SegmentationUNet",
    "SemiseNet",
    "SemiseResNetEncoder",
    "SeverityClassifier",
    "SeverityNet",
    "build_encoder",
    "discriminative_groups",
    "load_encoder_weights",
    "load_imagenet_weights",
]
