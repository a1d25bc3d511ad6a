# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What goes between MONAI's Ignite engines and the network: batches, inferers, embedding."""

from __future__ import annotations

from monai_semise.engines.bfloat16_inferer import BFloat16Inferer
from monai_semise.engines.chunked_inferer import ChunkedInferer
from monai_semise.engines.embed import Embedded, embed_images
from monai_semise.engines.encoded_items import encode_items
from monai_semise.engines.grading import GradeInferer, PrepareGradedBatch
from monai_semise.engines.healthy_reference import update_healthy_reference
from monai_semise.engines.inferers import SeverityInferer, ViewInferer
from monai_semise.engines.input_geometry import InputGeometry
from monai_semise.engines.masks import (
    PrepareMaskBatch,
    masks_from_logits,
    probabilities_from_logits,
    resize_linearly,
)
from monai_semise.engines.prepare_severity_batch import PrepareSeverityBatch
from monai_semise.engines.windows import random_windows

__all__ = [
    "BFloat16Inferer",
    "ChunkedInferer",
    "Embedded",
    "GradeInferer",
    "InputGeometry",
    "PrepareGradedBatch",
    "PrepareMaskBatch",
    "PrepareSeverityBatch",
    "SeverityInferer",
    "ViewInferer",
    "embed_images",
    "encode_items",
    "masks_from_logits",
    "probabilities_from_logits",
    "random_windows",
    "resize_linearly",
    "update_healthy_reference",
]
