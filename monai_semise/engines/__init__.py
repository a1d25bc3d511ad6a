# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What goes between MONAI's Ignite engines and the network: batches, inferers, embedding."""

from __future__ import annotations

from monai_semise.engines.embed import Embedded, embed_images
from monai_semise.engines.healthy_reference import update_healthy_reference
from monai_semise.engines.inferers import SeverityInferer, ViewInferer
from monai_semise.engines.prepare_severity_batch import PrepareSeverityBatch

__all__ = [
    "Embedded",
    "PrepareSeverityBatch",
    "SeverityInferer",
    "ViewInferer",
    "embed_images",
    "update_healthy_reference",
]
