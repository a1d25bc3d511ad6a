# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

pytest.importorskip("monailabel")

from monai_semise.apps.label.datastore import StudyFolder
from monai_semise.apps.label.strategies import MostSevere, UncertainSeverity, grade_entropy
from monai_semise.utils import InputError
from tests.apps.label.served import studies


@pytest.fixture
def scored(tmp_path):
    """A folder of which two images have a severity."""
    datastore = StudyFolder(str(studies(tmp_path / "studies")), extensions=["*.png"])
    datastore.update_image_info("a", {"severity": {"score": 0.9, "position": 1.9}})
    datastore.update_image_info("b", {"severity": {"score": 0.5, "position": 0.5}})
    return datastore


def test_triage_and_doubt_choose_different_images_until_they_are_graded(scored):
    assert MostSevere()({}, scored)["id"] == "a"
    assert UncertainSeverity()({}, scored)["id"] == "b"
    scored.update_image_info("a", {"grade": 2})
    assert MostSevere()({}, scored)["id"] == "b"
    scored.update_image_info("b", {"grade": 0})
    assert MostSevere()({}, scored) is None


def test_without_severities(tmp_path):
    datastore = StudyFolder(str(studies(tmp_path / "studies")), extensions=["*.png"])
    with pytest.raises(InputError, match="no image has a severity yet; run POST /batch/infer/severity first"):
        MostSevere()({}, datastore)


def test_without_a_calibration(scored):
    scored.update_image_info("b", {"severity": {"score": 0.5}})
    with pytest.raises(InputError, match="no calibration; train with more graded validation images"):
        UncertainSeverity()({}, scored)


def test_probabilities_go_before_the_position():
    assert grade_entropy({"probabilities": [0.25] * 4, "position": 1.0}) == 2.0
    assert grade_entropy({"position": 1.25}) == pytest.approx(0.8113, abs=1e-4)
