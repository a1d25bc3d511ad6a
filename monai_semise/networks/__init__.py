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
from monai_semise.networks.semise_net import SemiseNet

__all__ = ["SemiseNet", "SemiseResNetEncoder", "build_encoder", "load_encoder_weights", "load_imagenet_weights"]
