# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Results as DICOM files, for the archive that the images came from. They carry the identity of their source."""

from __future__ import annotations

from monai_semise.dicom.dicom_seg import write_dicom_seg
from monai_semise.dicom.dicom_sr import write_severity_sr
from monai_semise.dicom.highdicom_parts import require_highdicom

__all__ = ["require_highdicom", "write_dicom_seg", "write_severity_sr"]
