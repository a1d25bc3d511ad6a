# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Ignite handlers: seeds, checkpoints, logs, the healthy reference."""

from __future__ import annotations

from monai_semise.handlers.dicom_sr import DicomSrHandler
from monai_semise.handlers.epoch_seed import EpochSeedHandler
from monai_semise.handlers.healthy_reference import HealthyReferenceHandler
from monai_semise.handlers.loss_terms import LossTerms
from monai_semise.handlers.mask_output import MaskOutput
from monai_semise.handlers.mask_writer import MaskWriterHandler
from monai_semise.handlers.non_finite_loss import NonFiniteLossHandler
from monai_semise.handlers.progress_bar import ProgressBarHandler
from monai_semise.handlers.result_writer import ResultWriterHandler
from monai_semise.handlers.severity_output import embedding_and_severity, grade_and_severity, score_and_severity
from monai_semise.handlers.severity_writer import SeverityWriterHandler
from monai_semise.handlers.training_checkpoint import TrainingCheckpointHandler, remove_checkpoints
from monai_semise.handlers.training_log import TrainingLogHandler, read_training_log

__all__ = [
    "DicomSrHandler",
    "EpochSeedHandler",
    "HealthyReferenceHandler",
    "LossTerms",
    "MaskOutput",
    "MaskWriterHandler",
    "NonFiniteLossHandler",
    "ProgressBarHandler",
    "ResultWriterHandler",
    "SeverityWriterHandler",
    "TrainingCheckpointHandler",
    "TrainingLogHandler",
    "embedding_and_severity",
    "grade_and_severity",
    "read_training_log",
    "remove_checkpoints",
    "score_and_severity",
]
