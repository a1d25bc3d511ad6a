# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.utils import CommonKeys

from monai_semise.data import DicomReader
from monai_semise.dicom import require_highdicom, write_severity_sr
from monai_semise.severity import SeverityCalibrator
from monai_semise.utils import InputError, printable, write_whole

__all__ = ["DicomSrHandler"]

SETTING = "dicom_sr"
FOLDER = "sr"
WITHOUT = "without_report.csv"
STEM_LENGTH = 100


class DicomSrHandler:
    """Write the severity of each DICOM image to a structured report of its own, ``sr/<number>_<file name>.dcm``.

    The number is that of the item. Images without a report are listed in ``sr/without_report.csv``: those that are not
    DICOM, could not be read, or whose header is such that no report can refer to them. The folder appears when all is
    done; a run that fails leaves what was there before.

    The reports carry the identity of their images by design, see :func:`monai_semise.dicom.write_severity_sr`.

    Args:
        folder: in which ``sr`` goes.
        items: datalist items, by whose ``index`` the batches speak of them.
        calibrator: from scores to the grade scale; None leaves these measurements out.
        grade_names: name of each grade, from 0; None where grades are not known.

    Raises:
        InputError: when highdicom is not installed, or no image is DICOM.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        items: Sequence[Mapping[str, Any]],
        calibrator: SeverityCalibrator | None,
        grade_names: Sequence[str] | None = None,
    ) -> None:
        require_highdicom(SETTING)
        self.is_dicom = DicomReader().verify_suffix
        if not any(self.is_dicom(item["image"]) for item in items):
            raise InputError(f"{SETTING}: none of the {len(items)} image(s) is DICOM; leave the setting out")
        self.folder = Path(folder)
        self.items = items
        self.calibrator = calibrator
        self.grade_names = grade_names
        self.logger = logging.getLogger("monai_semise")

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator whose batches come from a :class:`monai_semise.data.TolerantDataset`."""
        engine.add_event_handler(Events.STARTED, self._open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)
        engine.add_event_handler(Events.COMPLETED, self._close)

    def _open(self, engine: Engine) -> None:
        # removed when it goes out of use, also after a failure: Ignite calls no second handler of an exception
        self.temporary = TemporaryDirectory(prefix=f".{FOLDER}.", dir=self.folder)
        self.part = Path(self.temporary.name) / FOLDER
        self.part.mkdir()
        self.files = ExitStack()
        stream = self.files.enter_context(write_whole(self.part / WITHOUT))
        self.without = csv.writer(stream)
        self.without.writerow(("image", "reason"))
        self.n_written = self.n_without = 0

    def _write(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        prediction = {name: value.cpu().numpy() for name, value in output[CommonKeys.PRED].items()}
        for row, (index, error) in enumerate(zip(batch["index"].tolist(), batch["error"])):
            image = self.items[index]["image"]
            try:
                if error:
                    raise InputError(error)
                if not self.is_dicom(image):
                    raise InputError("is not DICOM")
                write_severity_sr(self.part / _file_name(index, image), image, **self._severity(prediction, row))
                self.n_written += 1
            except InputError as reason:
                self.without.writerow((printable(image), printable(reason)))
                self.n_without += 1

    def _severity(self, prediction: Mapping[str, np.ndarray], row: int) -> dict[str, Any]:
        """Arguments of :func:`write_severity_sr` for one image of a batch."""
        severity: dict[str, Any] = {"score": float(prediction["score"][row])}
        if self.calibrator is not None:
            calibrated = self.calibrator.calibrate(prediction["score"][row : row + 1])
            severity["position"], severity["grade"] = float(calibrated.position[0]), int(calibrated.grade[0])
            severity["interval"] = float(calibrated.low[0]), float(calibrated.high[0])
            severity["coverage"] = self.calibrator.coverage
        if "grade" in prediction:
            severity["grade"] = int(prediction["grade"][row])
        if "probabilities" in prediction:
            severity["probabilities"] = prediction["probabilities"][row].tolist()
        return {**severity, "grade_names": self.grade_names}

    def _close(self, engine: Engine) -> None:
        self.files.close()
        shutil.rmtree(self.folder / FOLDER, ignore_errors=True)
        os.replace(self.part, self.folder / FOLDER)
        self.temporary.cleanup()
        self.logger.info(
            f"{self.n_written} structured report(s) are in {self.folder / FOLDER}; "
            f"{self.n_without} image(s) have none, see {WITHOUT} there"
        )


def _file_name(index: int, image: str | os.PathLike) -> str:
    """Distinct for each item, and a name that every file system takes."""
    stem = "".join(c if c.isascii() and c.isalnum() else "_" for c in Path(image).stem)
    return f"{index:06d}_{stem[:STEM_LENGTH]}.dcm"
