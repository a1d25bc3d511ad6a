# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json

import pytest
import torch
from monai.data import Dataset

from monai_semise.apps import PretrainingReport
from monai_semise.networks import SemiseNet
from monai_semise.severity import SeverityCalibrator
from monai_semise.utils import save_checkpoint


@pytest.fixture
def report(tmp_path):
    """A report on a network at random, with sections of the grades asked for."""

    def build(**sections):
        torch.manual_seed(0)
        network = SemiseNet("resnet10", embedding_dim=8)
        save_checkpoint(tmp_path / "best.pt", network.state_dict())
        (tmp_path / "log.csv").write_text("phase,epoch,loss\ntrain,1,0.5\ntrain,2,0.4\n")

        def section(severity):
            items = [{"image": f"{n}.png", "severity": s, "index": n} for n, s in enumerate(severity)]
            return Dataset([{**item, "image": torch.rand(1, 32, 32)} for item in items]), items

        training, items = section([0, 1, 0, 2])
        return PretrainingReport(
            tmp_path, network, tmp_path / "best.pt", training, items, {n: section(s) for n, s in sections.items()}
        )

    return build


def test_empty_sections_are_left_out(report, tmp_path):
    summary = report(validation=[0, 1, 2, 2], test=[]).write()
    assert list(summary) == ["validation"]
    assert json.loads((tmp_path / "summary.json").read_text()) == summary


def test_measures_that_the_grades_do_not_allow_are_left_out(report):
    summary = report(validation=[0, 1, 2], test=[1, 1, -1]).write()
    assert set(summary["validation"]) == {"images", "pair_accuracy", "pair_accuracy_with_healthy", "kendall_tau"}
    assert set(summary["test"]) == {"images", "evaluation", "coverage"}
    assert summary["test"]["evaluation"]["rows"]["distance from healthy"]["c_index"] == [None, None, None]


def test_severity_is_calibrated_on_validation_and_its_coverage_measured_on_test(report, tmp_path):
    summary = report(validation=[0, 1, 2, 2, 1, 0], test=[0, 1, 2]).write()
    calibrator = SeverityCalibrator.from_dict(json.loads((tmp_path / "calibration.json").read_text()))
    rows = list(csv.DictReader((tmp_path / "severity.csv").open()))
    again = calibrator.calibrate([float(row["score"]) for row in rows])
    assert [float(row["position"]) for row in rows] == pytest.approx(again.position, abs=1e-3)
    assert [row["grades"] for row in rows] == [" ".join(map(str, grades)) for grades in again.grade_sets()]
    covered = [row["severity"] in row["grades"].split() for row in rows if row["section"] == "test"]
    assert summary["test"]["coverage"] == {"chosen": 0.9, "measured": sum(covered) / 3}
    assert list(summary["test"]["evaluation"]["rows"]) == [
        "distance from healthy", "constant-majority", "stratified-random"
    ]  # fmt: skip
    assert "coverage" not in summary["validation"]


def test_no_calibration_is_said(report, tmp_path, caplog):
    with caplog.at_level("WARNING", logger="monai_semise"):
        report(validation=[1, 1], test=[0, 1]).write()
    assert "No calibration: calibration: 2 patient(s) with 1 grade(s) in validation" in caplog.text
    assert not (tmp_path / "calibration.json").exists()
    assert {row["position"] for row in csv.DictReader((tmp_path / "severity.csv").open())} == {""}


def test_scores_of_ungraded_images_are_written_without_a_grade(report, tmp_path):
    report(test=[0, -1]).write()
    rows = list(csv.DictReader((tmp_path / "severity.csv").open()))
    assert [row["severity"] for row in rows] == ["0", ""]
    assert all(0 <= float(row["score"]) <= 2 for row in rows)


def test_reference_is_the_mean_over_all_healthy_training_images(report):
    app = report(validation=[0, 1])
    app.write()
    network = app.network.eval()
    with torch.inference_mode():
        healthy = torch.stack([app.training[n]["image"] for n in (0, 2)])
        assert torch.allclose(network.healthy_reference, network(healthy)[:, 0].mean(dim=0), atol=1e-5)


def test_without_graded_training_images_the_held_out_ones_are_measured_all_the_same(report, tmp_path):
    """As after training on comparisons alone."""
    app = report(validation=[0, 1, 2, 2, 1, 0], test=[0, 1, 2])
    app.training_items = [{**item, "severity": -1} for item in app.training_items]
    app.network.learns_reference = True
    app.network.set_healthy_reference(torch.rand(8))
    save_checkpoint(tmp_path / "best.pt", app.network.state_dict())
    summary = app.write()
    assert set(summary["test"]["evaluation"]["rows"]) == {"distance from healthy"}
    assert any("no training image is graded" in text for text in summary["test"]["evaluation"]["warnings"])
    assert (tmp_path / "severity.csv").exists()


def test_a_measure_that_is_not_defined_is_null(report, tmp_path, monkeypatch, caplog):
    app = report(validation=[0, 1, 2])
    monkeypatch.setattr(app, "_score", lambda dataset: torch.full((len(dataset),), 0.3))
    with caplog.at_level("INFO", logger="monai_semise"):
        app.write()
    written = json.loads((tmp_path / "summary.json").read_text(), parse_constant=pytest.fail)
    assert written["validation"]["kendall_tau"] is None
