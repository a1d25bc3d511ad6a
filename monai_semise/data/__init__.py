# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Datalist to graded batches: one file format, datasets of views and pairs, and a batch sampler."""

from __future__ import annotations

from monai_semise.data.datalist import (
    UNGRADED,
    check_datalist,
    check_scale,
    datalist_digest,
    grade_names,
    graded_items,
    healthy_indices,
    load_datalist,
    read_grade_names,
    write_datalist,
)
from monai_semise.data.dicom_info import DicomInfo
from monai_semise.data.dicom_reader import DicomReader
from monai_semise.data.pair_dataset import PairDataset
from monai_semise.data.pairs import (
    PreferencePair,
    draw_preference_pairs,
    draw_validation_pairs,
    read_pairs,
    read_section_pairs,
    write_pairs,
)
from monai_semise.data.phantoms import ensure_phantoms, make_phantom
from monai_semise.data.prepared_dataset import PreparedDataset
from monai_semise.data.samplers import GradeBalancedBatchSampler, ShuffledBatchSampler
from monai_semise.data.structures import annotated_items, read_structures, require_structures
from monai_semise.data.tolerant_dataset import TolerantDataset
from monai_semise.data.two_view_dataset import TwoViewDataset

__all__ = [
    "DicomInfo",
    "DicomReader",
    "GradeBalancedBatchSampler",
    "PairDataset",
    "PreferencePair",
    "PreparedDataset",
    "ShuffledBatchSampler",
    "TolerantDataset",
    "TwoViewDataset",
    "UNGRADED",
    "annotated_items",
    "check_datalist",
    "check_scale",
    "datalist_digest",
    "draw_preference_pairs",
    "draw_validation_pairs",
    "ensure_phantoms",
    "grade_names",
    "graded_items",
    "healthy_indices",
    "load_datalist",
    "make_phantom",
    "read_grade_names",
    "read_pairs",
    "read_section_pairs",
    "read_structures",
    "require_structures",
    "write_datalist",
    "write_pairs",
]
