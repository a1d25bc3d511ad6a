# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import sys

import pytest
import torch
from ignite.engine import Engine

from monai_semise.handlers import DicomSrHandler
from monai_semise.severity import SeverityCalibrator
from monai_semise.utils import InputError
from tests.dicom.sources import AXIAL, ct_series, unplaced
from tests.dicom.test_dicom_sr import group_of, numbers_of

pytest.importorskip("highdicom")

CALIBRATOR = SeverityCalibrator(0.8, n_grades=3)
CALIBRATOR.fit([0.1, 0.2, 0.5, 0.6, 0.9, 1.0], [0, 0, 1, 1, 2, 2])


def run(handler, batches):
    """Batches are (indices, predictions, errors)."""

    def step(engine, batch):
        indices, prediction, errors = batch
        if indices is None:
            raise RuntimeError("out of memory")
        engine.state.batch = {"index": torch.tensor(indices), "error": errors}
        return {"pred": {name: torch.tensor(values) for name, values in prediction.items()}}

    engine = Engine(step)
    handler.attach(engine)
    engine.run(batches)


def items_of(*images):
    return [{"image": str(image), "severity": -1, "index": index} for index, image in enumerate(images)]


def test_a_report_for_each_image_across_batches(tmp_path):
    names = ["a.dcm", "sub/a.dcm", "b" * 240 + ".dcm", "Läs ion\n.dcm"]
    (tmp_path / "sub").mkdir()
    items = items_of(*[unplaced(tmp_path / name) for name in names])
    handler = DicomSrHandler(tmp_path, items, CALIBRATOR, ["none", "some", "severe"])
    none = ["", ""]
    run(handler, [([3, 1], {"score": [1.0, 0.1]}, none), ([0, 2], {"score": [0.55, 0.7]}, none)])
    expected = {
        "000000_a.dcm": 0.55,
        "000001_a.dcm": 0.1,
        "000002_" + "b" * 100 + ".dcm": 0.7,
        "000003_L_s_ion_.dcm": 1.0,
    }
    assert {path.name for path in (tmp_path / "sr").glob("*.dcm")} == set(expected)
    for name, score in expected.items():
        calibrated = CALIBRATOR.calibrate([score])
        numbers = {
            "SCORE": score,
            "POSITION": calibrated.position[0],
            "LOW": calibrated.low[0],
            "HIGH": calibrated.high[0],
            "COVERAGE": 0.8,
            "GRADE": calibrated.grade[0],
        }
        assert numbers_of(tmp_path / "sr" / name) == pytest.approx(numbers, abs=1e-6)
    (evaluation,) = group_of(tmp_path / "sr" / "000003_L_s_ion_.dcm").get_qualitative_evaluations()
    assert evaluation.value.meaning == "severe"


def test_a_classifiers_own_grade_and_probabilities(tmp_path):
    handler = DicomSrHandler(tmp_path, items_of(unplaced(tmp_path / "a.dcm")), CALIBRATOR)
    prediction = {"score": [1.0], "grade": [0], "probabilities": [[0.5, 0.25, 0.25]]}
    run(handler, [([0], prediction, [""])])
    numbers = numbers_of(tmp_path / "sr" / "000000_a.dcm")
    assert numbers["GRADE"] == 0
    assert [numbers[f"PROBABILITY{n}"] for n in range(3)] == [0.5, 0.25, 0.25]


def test_without_a_calibration_there_is_the_score_alone(tmp_path):
    run(DicomSrHandler(tmp_path, items_of(ct_series(tmp_path / "s", AXIAL)), None), [([0], {"score": [0.5]}, [""])])
    assert numbers_of(tmp_path / "sr" / "000000_s.dcm") == {"SCORE": 0.5}


def test_images_without_a_report_are_listed(tmp_path):
    (tmp_path / "c\n.png").write_bytes(b"no DICOM")
    images = [unplaced(tmp_path / "a.dcm"), unplaced(tmp_path / "b.dcm", StudyInstanceUID=""), tmp_path / "c\n.png"]
    handler = DicomSrHandler(tmp_path, items_of(*images), None)
    run(handler, [([0, 1, 2], {"score": [0.5, 0.5, 0.5]}, ["cut short", "", ""])])
    with open(tmp_path / "sr" / "without_report.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0] == {"image": str(images[0]), "reason": "cut short"}
    assert "b.dcm: lacks StudyInstanceUID" in rows[1]["reason"]
    assert rows[2] == {"image": str(tmp_path / "c\\n.png"), "reason": "is not DICOM"}
    assert [path.name for path in (tmp_path / "sr").iterdir()] == ["without_report.csv"]


def test_folder_is_replaced_whole_or_not_at_all(tmp_path):
    (tmp_path / "sr").mkdir()
    (tmp_path / "sr" / "earlier.dcm").write_bytes(b"earlier")
    items = items_of(unplaced(tmp_path / "a.dcm"))
    good = ([0], {"score": [0.5]}, [""])
    handler = DicomSrHandler(tmp_path, items, None)
    with pytest.raises(RuntimeError, match="out of memory"):
        run(handler, [good, (None, {}, [])])
    assert [path.name for path in (tmp_path / "sr").iterdir()] == ["earlier.dcm"]
    run(handler, [good])
    assert {path.name for path in (tmp_path / "sr").iterdir()} == {"000000_a.dcm", "without_report.csv"}
    assert {path.name for path in tmp_path.iterdir()} == {"a.dcm", "sr"}
    assert (tmp_path / "sr").stat().st_mode & 0o777 == tmp_path.stat().st_mode & 0o777 | 0o755


def test_no_image_is_dicom(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no DICOM")
    with pytest.raises(InputError, match=r"dicom_sr: none of the 1 image\(s\) is DICOM"):
        DicomSrHandler(tmp_path, items_of(tmp_path / "a.png"), None)


def test_without_highdicom(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(InputError, match=r'dicom_sr: needs the package highdicom; install it with pip install "monai-'):
        DicomSrHandler(tmp_path, items_of(unplaced(tmp_path / "a.dcm")), None)


def test_a_full_disk_is_no_fault_of_the_image(tmp_path, monkeypatch):
    handler = DicomSrHandler(tmp_path, items_of(unplaced(tmp_path / "a.dcm")), None)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run(handler, [([0], {"score": [0.5]}, [""])])
