# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch
from sklearn.metrics import cohen_kappa_score, f1_score

from monai_semise.apps.compare.plan import make_plan
from monai_semise.apps.compare.run_results import read_predictions, unreadable_results
from monai_semise.apps.compare.tables import alpha_table, classification_table, segmentation_table
from monai_semise.metrics import GradePrediction
from tests.apps.compare.finished_runs import finish, options


@pytest.fixture
def given(phantoms, tmp_path):
    return options(tmp_path, phantoms(), methods="simclr,semise,supervised", shares=(0.5, 1.0))


def forests(plan):
    y = torch.tensor([item["severity"] for item in plan.test])
    wrong = GradePrediction(0 * y, torch.full((len(y), 5), 0.2), 0.0 * y)
    return {(budget.share, budget.seed): wrong for budget in plan.budgets}


def of(table, share, method):
    return next(row for row in table.rows if (row.share, row.method) == (share, method))


def by(plan, method, **given):
    return [s for s in plan.stages if s.method == method and all(getattr(s, k) == v for k, v in given.items())]


def test_classification(given):
    plan = make_plan(given)
    finish(plan, by(plan, "simclr"), skill=1.0)
    finish(plan, by(plan, "semise", seed=0), skill=0.4)
    failures = {stage.folder: "InputError: no" for stage in by(plan, "semise", seed=1)}
    failures |= {stage.folder: "ended by SIGKILL" for stage in by(plan, "supervised", share=1.0)}
    table = classification_table(plan, given, failures, forests(plan))
    perfect = of(table, 1.0, "simclr").cells["macro_f1"]
    assert (perfect.interval.mean, perfect.interval.low, perfect.interval.n_runs) == (1, 1, 2)
    assert perfect.mark == "best"
    assert of(table, 1.0, "simclr").note == ""
    half = of(table, 1.0, "semise")
    assert (half.cells["macro_f1"].interval.n_runs, half.note) == (1, "1 of 2 runs; failed: InputError: no")
    assert of(table, 1.0, "supervised")[2:] == ({}, "failed: ended by SIGKILL")
    assert of(table, 0.5, "supervised")[2:] == ({}, "not run")
    assert {row.note for row in table.rows if row.method in {method.name for method in plan.not_run}} == {"not run"}
    assert plan.not_run
    for share in (0.5, 1.0):
        names = [row.method for row in table.rows if row.share == share]
        assert names[-3:] == ["constant-majority", "stratified-random", "thumbnail-forest"]
        assert all(of(table, share, name).cells for name in names[-3:])


def test_a_forest_that_fails_is_a_failed_row(given):
    plan = make_plan(given)
    grown = forests(plan)
    grown |= {(0.5, 0): "InputError: no", (0.5, 1): "InputError: no", (1.0, 1): "MemoryError: "}
    table = classification_table(plan, given, {}, grown)
    assert of(table, 0.5, "thumbnail-forest")[2:] == ({}, "failed: InputError: no")
    half = of(table, 1.0, "thumbnail-forest")
    assert (half.cells["accuracy"].interval.n_runs, half.note) == (1, "1 of 2 runs; failed: MemoryError: ")
    assert of(table, 0.5, "constant-majority").cells


def test_results_that_cannot_be_read_are_found(given):
    plan = make_plan(given)
    finish(plan, by(plan, "simclr"), skill=1.0)
    assert unreadable_results(plan.stages, {}) == {}
    gone, empty = by(plan, "simclr", kind="classification")[:2]
    (gone.folder / "predictions.csv").unlink()
    (empty.folder / "predictions.csv").write_text("")
    cut = by(plan, "simclr", kind="segmentation")[0]
    (cut.folder / "summary.json").write_text("{")
    found = unreadable_results(plan.stages, {empty.folder})
    assert found.keys() == {gone.folder, cut.folder}
    assert found[cut.folder].startswith("its results cannot be read (JSONDecodeError: ")
    assert set(unreadable_results(plan.stages, {})) == {gone.folder, cut.folder, empty.folder}


def test_numbers_are_those_of_scikit_learn(given):
    plan = make_plan(given)
    stages = by(plan, "simclr", share=1.0, kind="classification")
    finish(plan, by(plan, "simclr"), skill=0.6)
    row = of(classification_table(plan, given, {}, forests(plan)), 1.0, "simclr")
    y = [item["severity"] for item in plan.test]
    for n, stage in enumerate(stages):
        grade = read_predictions(stage.folder).grade
        assert len(grade) == len(y)
        assert row.cells["macro_f1"].values[n] == pytest.approx(f1_score(y, grade, average="macro", zero_division=0))
        kappa = cohen_kappa_score(y, grade, weights="quadratic")
        assert row.cells["quadratic_weighted_kappa"].values[n] == pytest.approx(kappa)


def test_equal_predictors_are_not_separable(given):
    plan = make_plan(given)
    for method in ("simclr", "semise"):
        finish(plan, by(plan, method), skill=1.0)
    table = classification_table(plan, given, {}, forests(plan))
    cells = [of(table, 1.0, method).cells["accuracy"] for method in ("simclr", "semise")]
    assert [cell.mark for cell in cells] == ["best", "tied"]
    assert cells[1].p_value == 1


@pytest.mark.parametrize(("n_resamples", "enough"), [(199, False), (200, True), (None, True)])
def test_too_few_resamples_are_said(given, n_resamples, enough):
    plan = make_plan(given)
    table = classification_table(plan, dataclasses.replace(given, n_resamples=n_resamples), {}, forests(plan))
    assert ("199 resamples are too few to tell the best of 6 rows from any other" in table.foot) != enough


def test_many_methods_get_more_resamples(given):
    plan = make_plan(dataclasses.replace(given, methods="all", n_resamples=None))
    table = classification_table(plan, dataclasses.replace(given, n_resamples=None), {}, forests(plan))
    assert len(plan.methods) > 20
    assert "too few" not in table.foot


def test_segmentation(given):
    plan = make_plan(given)
    finish(plan, by(plan, "simclr"), skill=0.8)
    finish(plan, by(plan, "semise"), skill=0.1)
    table = segmentation_table(plan, given, {})
    best, worst, constant = (of(table, 1.0, name).cells["dice"] for name in ("simclr", "semise", "constant-mask"))
    assert 0.8 <= best.interval.mean <= 0.9
    assert (best.mark, worst.mark, constant.mark) == ("best", "", "")
    assert (constant.interval.mean, constant.p_value) == (0.3, None)  # no part of the comparison
    assert worst.p_value is not None
    assert "no better than it in Dice: semise at 50 %, semise at 100 %." in table.foot
    assert of(table, 1.0, "supervised").note == "not run"


def test_the_constant_mask_is_that_of_every_seed_that_was_segmented(given):
    plan = make_plan(given)
    finish(plan, by(plan, "simclr", seed=1), skill=0.8)
    finish(plan, by(plan, "semise", share=1.0), skill=0.8)
    table = segmentation_table(plan, given, {})
    assert of(table, 1.0, "constant-mask").cells["dice"].interval.n_runs == 2
    assert of(table, 1.0, "constant-mask").note == ""
    assert of(table, 0.5, "constant-mask").note == "1 of 2 runs; not run"


def test_a_structure_that_no_test_image_shows_has_no_part_in_the_mean(given):
    plan = make_plan(given)
    finish(plan, by(plan, "simclr", share=1.0), skill=0.8)
    for stage in by(plan, "simclr", share=1.0, kind="segmentation"):
        file = stage.folder / "segmentation.csv"
        head, *lines = file.read_text().splitlines()
        other = [[*line.replace(",lesion,", ",cup,").split(",")[:4], "", "", "0", "0"] for line in lines]
        both = [row for line, cup in zip(lines, other) for row in (line, ",".join(cup))]
        file.write_text("\n".join([head, *both, ""]))
        rows = json.loads((stage.folder / "summary.json").read_text())
        rows["test"]["rows"]["constant-mask"] |= {"cup_dice": [None, None, None], "cup_iou": [None, None, None]}
        (stage.folder / "summary.json").write_text(json.dumps(rows))
    row = of(segmentation_table(plan, given, {}), 1.0, "simclr")
    assert row.cells["dice"].interval.mean == row.cells["lesion_dice"].interval.mean > 0.8
    assert math.isnan(row.cells["cup_dice"].interval.mean)
    table = segmentation_table(plan, given, {})
    assert of(table, 1.0, "constant-mask").cells["dice"].interval.mean == 0.3
    assert "all are better than it in Dice." in table.foot


@pytest.mark.parametrize(("n_patients", "said"), [(1, "of one patient"), (3, "fewer than 20 patients, as here (3)")])
def test_few_patients_are_said_and_one_separates_nothing(given, n_patients, said):
    plan = make_plan(given)
    test = [{**item, "group": f"p{n % n_patients}"} for n, item in enumerate(plan.test)]
    plan = plan._replace(test=test)
    finish(plan, by(plan, "simclr"), skill=1.0)
    finish(plan, by(plan, "semise"), skill=0.0)
    table = classification_table(plan, given, {}, forests(plan))
    assert said in table.foot
    marks = {row.cells["accuracy"].mark for row in table.rows if row.cells and row.share == 1.0}
    assert marks == {"best", "tied"} if n_patients == 1 else "best" in marks


def test_the_foot_says_nothing_where_nothing_could_be_segmented(given):
    plan = make_plan(given)
    table = segmentation_table(plan, given, {stage.folder: "InputError: no" for stage in plan.stages})
    assert table.foot == ""
    assert {row.method: row.note for row in table.rows}["simclr"] == "failed: InputError: no"


def test_nothing_is_segmented_where_it_is_not_wanted(phantoms, tmp_path):
    given = options(tmp_path, phantoms(), segmentation=False)
    plan = make_plan(given)
    assert {stage.kind for stage in plan.stages} == {"pretrain", "classification"}
    assert segmentation_table(plan, given, {}) is None


def test_alphas(phantoms, tmp_path):
    given = options(tmp_path, phantoms(), alphas=(0.0, 1.0))
    plan = make_plan(given)
    finish(plan, by(plan, "semise-alpha-1"), skill=1.0)
    table = alpha_table(plan, given, {})
    assert [(row.method, row.note) for row in table.rows] == [("semise-alpha-0", "not run"), ("semise-alpha-1", "")]
    assert not [stage for stage in plan.stages if stage.kind == "segmentation" and "alpha" in stage.method]
    alphas = {stage.method: stage.settings.get("alpha") for stage in plan.stages if stage.kind == "pretrain"}
    assert alphas == {"simclr": None, "semise-alpha-0": "0", "semise-alpha-1": "1"}
