# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from monai_semise.severity import SeverityCalibrator
from monai_semise.utils import InputError


def draw(n, random, noise=0.25):
    grade = random.choice(5, n, p=[0.4, 0.2, 0.2, 0.1, 0.1])
    return 0.3 * grade + random.normal(0, noise, n), grade


def test_position_is_scikit_learns_isotonic_regression():
    random = np.random.default_rng(0)
    score, grade = draw(80, random)
    new = random.uniform(-1, 3, 50)
    expected = IsotonicRegression(out_of_bounds="clip").fit(score, grade).predict(new)
    assert SeverityCalibrator().fit(score, grade).calibrate(new).position == pytest.approx(expected)


@pytest.mark.parametrize("coverage", [0.7, 0.8, 0.9])
def test_measured_coverage_is_the_chosen_one(coverage):
    random = np.random.default_rng(1)
    covered = []
    for _ in range(40):
        calibrator = SeverityCalibrator(coverage).fit(*draw(100, random))
        score, grade = draw(200, random)
        covered.append(calibrator.calibrate(score).covers(grade).mean())
    assert coverage - 0.02 < np.mean(covered) < coverage + 0.05


def test_interval_is_wider_for_more_coverage_and_for_more_noise():
    def width(coverage, noise):
        calibrator = SeverityCalibrator(coverage).fit(*draw(300, np.random.default_rng(2), noise))
        return calibrator.half_width

    assert width(0.5, 0.25) < width(0.8, 0.25) < width(0.95, 0.25)
    assert width(0.8, 0.1) < width(0.8, 0.6)


def test_patients_stay_together_in_the_cross_validation():
    """Ten copies of each patient: as images of their own they would seem easy to predict."""
    random = np.random.default_rng(3)
    score, grade = random.uniform(0, 1, 12), random.choice(5, 12)
    grade[:2] = 0, 4
    score, grade, patients = (np.repeat(values, 10) for values in (score, grade, np.arange(12)))
    alone = SeverityCalibrator(0.8).fit(score, grade).half_width
    assert SeverityCalibrator(0.8).fit(score, grade, patients).half_width > alone


def test_too_few_images_for_the_coverage_give_the_whole_scale():
    calibrated = SeverityCalibrator(0.95, n_grades=5).fit([0.1, 0.2, 0.8], [0, 1, 3]).calibrate([0.15])
    assert (calibrated.low[0], calibrated.high[0]) == (0, 4)
    assert calibrated.grade_sets() == [[0, 1, 2, 3, 4]]


@given(
    st.lists(st.tuples(st.floats(-10, 10), st.integers(0, 4)), min_size=2, max_size=40).filter(
        lambda rows: len({grade for _, grade in rows}) > 1
    ),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20),
    st.floats(0.05, 0.95),
)
def test_intervals_lie_on_the_scale_hold_the_position_and_rise_with_the_score(rows, new, coverage):
    score, grade = zip(*rows)
    calibrated = SeverityCalibrator(coverage, n_grades=5).fit(score, grade).calibrate(sorted(new))
    assert ((calibrated.low >= 0) & (calibrated.low <= calibrated.position)).all()
    assert ((calibrated.position <= calibrated.high) & (calibrated.high <= 4)).all()
    assert (np.diff(calibrated.position) >= -1e-12).all()
    for grade, inside in zip(calibrated.grade.tolist(), calibrated.grade_sets()):
        assert grade in inside
        assert inside == list(range(inside[0], inside[-1] + 1))


def test_round_trip_through_json():
    calibrator = SeverityCalibrator(0.8).fit(*draw(60, np.random.default_rng(4)))
    again = SeverityCalibrator.from_dict(json.loads(json.dumps(calibrator.to_dict())))
    new = np.linspace(-1, 3, 30)
    before, after = calibrator.calibrate(new), again.calibrate(new)
    assert (before.position == after.position).all()
    assert before.grade_sets() == after.grade_sets()


@pytest.mark.parametrize(
    ("content", "found"),
    [({}, "KeyError"), ({"coverage": "x"}, "ValueError"), ([], "TypeError")],
)
def test_a_file_that_is_no_calibration(content, found):
    with pytest.raises(InputError, match=f"not a calibration of monai_semise \\({found}"):
        SeverityCalibrator.from_dict(content)


def test_cut_thresholds_are_refused():
    content = SeverityCalibrator().fit([0, 1, 2], [0, 1, 1]).to_dict()
    with pytest.raises(InputError, match="differ in length"):
        SeverityCalibrator.from_dict({**content, "positions": content["positions"][:-1]})


def test_bad_input():
    with pytest.raises(InputError, match=r"coverage: 1.0 is not between 0 and 1"):
        SeverityCalibrator(1.0)
    with pytest.raises(InputError, match=r"2 patient\(s\) with 1 grade\(s\)"):
        SeverityCalibrator().fit([0.1, 0.2], [1, 1])
    with pytest.raises(InputError, match=r"1 patient\(s\) with 2 grade\(s\)"):
        SeverityCalibrator().fit([0.1, 0.2], [1, 0], ["a", "a"])
    with pytest.raises(InputError, match="not finite"):
        SeverityCalibrator().fit([0.1, np.nan], [1, 0])
    with pytest.raises(RuntimeError, match="fit the calibrator first"):
        SeverityCalibrator().calibrate([0.1])
