# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import logging
import shutil

import pytest

from monai_semise.apps.compare.plan import make_plan
from monai_semise.apps.compare.stage import read_record, state_of, write_record
from monai_semise.apps.compare.tuning import adopt_trials, choose_settings, make_tuning, tried_settings, write_trials
from monai_semise.utils import InputError
from tests.apps.compare.finished_runs import finish, options
from tests.bundles.harness import ROOT

KINDS = ("pretrain", "classification")
RATES = ("head_lr=0.001,0.02,0.05",)


def finish_candidates(tuning, skills):
    """Candidates of each method and label budget get these skills on validation images, and the others' on test."""
    for (method, share), own in skills.items():
        for number, skill in enumerate(own):
            name = tuning.candidates[method][number].name
            stages = [stage for stage in tuning.plan.stages if (stage.method, stage.share) == (name, share)]
            finish(tuning.plan, stages, skill=1 - skill, validation_skill=skill)


def test_the_best_of_the_validation_images_is_taken_at_each_label_budget(phantoms, tmp_path):
    given = options(tmp_path, phantoms(), methods="simclr,semise", shares=(0.5, 1.0), tune=RATES, alphas=(0.25,))
    tuning = make_tuning(given)
    assert {stage.kind for stage in tuning.plan.stages} == set(KINDS)
    assert {stage.seed for stage in tuning.plan.stages} == {0}
    best = {("simclr", 0.5): 0, ("simclr", 1.0): 1, ("semise", 0.5): 2, ("semise", 1.0): 1}
    finish_candidates(tuning, {key: [float(n == number) for n in range(3)] for key, number in best.items()})
    tuned = choose_settings(tuning, {})
    rates = ["0.001", "0.02", "0.05"]
    assert {key: own.settings["head_lr"] for key, own in tuned.chosen.items()} == {
        key: rates[number] for key, number in best.items()
    }

    plan = make_plan(given, tuned.chosen)
    assert len({stage.folder for stage in plan.stages} & {stage.folder for stage in tuning.plan.stages}) == 0
    for stage in plan.stages:
        if stage.kind == "pretrain":
            method = "semise" if stage.method.startswith("semise") else stage.method
            assert stage.settings["head_lr"] == rates[best[method, stage.share]]
            assert stage.settings.get("alpha") == ("0.25" if "alpha" in stage.method else None)
        else:
            assert "head_lr" not in stage.settings

    write_trials(tuned.trials, "quadratic_weighted_kappa", tmp_path / "trials.csv")
    rows = list(csv.DictReader((tmp_path / "trials.csv").open(newline="")))
    assert len(rows) == 12
    for row in rows:
        taken = rates[best[row["method"], float(row["labelled"])]]
        assert row["chosen"] == str(int(row["settings"] == f"head_lr={taken}"))
        assert (row["validation_quadratic_weighted_kappa"] == "1") == (row["chosen"] == "1")


def test_a_lower_error_is_better_and_of_equals_the_first_is_taken(phantoms, tmp_path):
    tuning = make_tuning(options(tmp_path, phantoms(), tune=RATES, tune_by="maee"))
    finish_candidates(tuning, {("simclr", 1.0): [0.0, 1.0, 1.0]})
    assert choose_settings(tuning, {}).chosen["simclr", 1.0].settings == {"head_lr": "0.02"}


def test_a_candidate_that_fails_is_not_taken(phantoms, tmp_path):
    given = options(tmp_path, phantoms(), methods="simclr,semise", tune=RATES)
    tuning = make_tuning(given)
    finish_candidates(tuning, {("simclr", 1.0): [1.0, 0.2]})
    third = [stage for stage in tuning.plan.stages if stage.method == "simclr-2"]
    lost = [stage for stage in tuning.plan.stages if stage.method.startswith("semise-")]
    failures = {stage.folder: "the loss is nan" for stage in [*third, *lost]}
    tuned = choose_settings(tuning, failures)
    assert tuned.chosen["simclr", 1.0].settings == {"head_lr": "0.001"}
    graded = next(stage for stage in tuning.plan.stages if (stage.method, stage.kind) == ("simclr-0", KINDS[1]))
    (graded.folder / "predictions.csv").unlink()
    again = choose_settings(tuning, failures)
    assert again.chosen["simclr", 1.0].settings == {"head_lr": "0.02"}
    assert again.trials[0].error.startswith("its results cannot be read (FileNotFoundError")
    assert [trial.error for trial in tuned.trials if trial.method == "simclr"] == ["", "", "the loss is nan"]
    problems = {stage.method: stage.problem for stage in make_plan(given, tuned.chosen).stages}
    assert problems == {"simclr": "", "semise": "tuning: the loss is nan"}


def finish_all_candidates(tuning):
    """Of each method and label budget, the second candidate is the best; each leaves an encoder."""
    keys = {(method, stage.share) for method in tuning.candidates for stage in tuning.plan.stages}
    finish_candidates(tuning, {key: [0.1, 1.0, 0.2] for key in keys})
    for stage in tuning.plan.stages:
        if stage.kind == "pretrain":
            (stage.folder / "encoder.pt").write_bytes(stage.method.encode())


def test_the_first_seed_of_the_settings_chosen_is_not_run_again(phantoms, tmp_path, caplog):
    given = options(tmp_path, phantoms(), methods="simclr,semise", shares=(0.5, 1.0), tune=RATES, segmentation=False)
    tuning = make_tuning(given)
    finish_all_candidates(tuning)
    tuned = choose_settings(tuning, {})
    plan = make_plan(given, tuned.chosen)
    begun = next(stage for stage in plan.stages if (stage.method, stage.share) == ("semise", 0.5))
    begun.folder.mkdir(parents=True)
    (begun.folder / "half.pt").write_bytes(b"half")
    write_record(begun, "started")

    with caplog.at_level(logging.INFO, "monai_semise"):
        adopt_trials(plan.stages, tuned)
    trials = {(trial.method, trial.share, trial.kind): trial for trial in tuning.plan.stages}
    for stage in plan.stages:
        assert state_of(stage) == ("finished" if stage.seed == 0 else "new"), stage.title
        if stage.seed == 0:
            trial = trials[f"{stage.method}-1", stage.share, stage.kind]
            assert f"{stage.folder}: copied from {trial.folder}, which is the same run" in caplog.text
            files = {path.name for path in stage.folder.iterdir()}
            assert files == {path.name for path in trial.folder.iterdir()}
            for name in files - {"stage.json"}:
                assert (stage.folder / name).read_bytes() == (trial.folder / name).read_bytes()
            assert read_record(stage.folder) == {**read_record(trial.folder), "paths": stage.paths}


@pytest.mark.parametrize("lost", ["encoder.pt", "summary.json"])
def test_a_run_is_taken_as_a_whole_or_not_at_all(phantoms, tmp_path, lost):
    given = options(tmp_path, phantoms(), tune=RATES, segmentation=False)
    tuning = make_tuning(given)
    finish_all_candidates(tuning)
    tuned = choose_settings(tuning, {})
    trial = next(stage for stage in tuning.plan.stages if (stage.method, stage.kind) == ("simclr-1", "pretrain"))
    (trial.folder / lost).unlink()
    plan = make_plan(given, tuned.chosen)
    adopt_trials(plan.stages, tuned)
    assert {state_of(stage) for stage in plan.stages} == {"new"}


def test_a_run_of_which_something_has_finished_stays_as_it_is(phantoms, tmp_path):
    given = options(tmp_path, phantoms(), tune=RATES, segmentation=False)
    tuning = make_tuning(given)
    finish_all_candidates(tuning)
    tuned = choose_settings(tuning, {})
    plan = make_plan(given, tuned.chosen)
    finish(plan, plan.stages[:1], skill=0.5)
    (plan.stages[0].folder / "mine.txt").write_text("kept")
    adopt_trials(plan.stages, tuned)
    assert (plan.stages[0].folder / "mine.txt").read_text() == "kept"
    assert {state_of(stage) for stage in plan.stages[1:]} == {"new"}


def test_what_was_tried_is_said(phantoms, tmp_path):
    tuning = make_tuning(options(tmp_path, phantoms(), methods="simclr,semise", tune=RATES))
    said = tried_settings(tuning)
    assert "every method tried 3 candidates" in said
    assert "with seed 0: head_lr=0.001; head_lr=0.02; head_lr=0.05. The one" in said
    assert "quadratic_weighted_kappa" in said
    own = ("semise/alpha=0.3,0.7", "simclr/temperature=0.1,0.5")
    said = tried_settings(make_tuning(options(tmp_path, phantoms(), methods="simclr,semise", tune=own)))
    assert "temperature=0.1; temperature=0.5 (simclr). alpha=0.3; alpha=0.7 (semise). The one" in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tune": ("head_lrr=1,2",)}, 'tune: no bundle has a setting "head_lrr"; did you mean "head_lr"?'),
        ({"tune": ("seed=1,2",)}, "tune: seed is the same for every method"),
        ({"tune": RATES, "alphas": (0.5,)}, "alphas: with --tune they take the settings chosen for semise"),
        ({"tune": RATES, "settings": ("head_lr=0.1",)}, "tune: head_lr is also given with --set"),
        ({"tune": RATES, "settings": ("pretrain/head_lr=0.1",)}, "tune: head_lr is also given with --set"),
        ({"tune": RATES, "settings": ("simclr/head_lr=0.1",)}, "tune: head_lr is also given with --set"),
    ],
)
def test_what_cannot_be_tuned(phantoms, tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        make_tuning(options(tmp_path, phantoms(), **given))


def test_one_bad_method_keeps_no_other_from_being_tuned(phantoms, tmp_path):
    bundles = shutil.copytree(ROOT / "bundles", tmp_path / "bundles")
    (bundles / "methods" / "bad.json").write_text('{"train::loss::no_such::part": 1}')
    tuning = make_tuning(options(tmp_path, phantoms(), bundles=bundles, methods="bad,simclr", tune=RATES))
    problems = {stage.method.rpartition("-")[0]: stage.problem for stage in tuning.plan.stages}
    assert "cannot be used" in problems["bad"]
    assert problems["simclr"] == ""


def test_a_setting_of_the_classifier_is_no_obstacle(phantoms, tmp_path):
    tuning = make_tuning(options(tmp_path, phantoms(), tune=RATES, settings=("classification/head_lr=0.1",)))
    rates = {kind: [s.settings["head_lr"] for s in tuning.plan.stages if s.kind == kind] for kind in KINDS}
    assert rates == {"pretrain": ["0.001", "0.02", "0.05"], "classification": ["0.1"] * 3}


def test_tuned_settings_go_over_the_overlay_and_those_for_all_do_not(phantoms, tmp_path):
    given = ("pretrain/encoder_lr=@head_lr", "mae/mask_ratio=0.5")
    tuning = make_tuning(options(tmp_path, phantoms(), methods="simclr,mae", tune=RATES, settings=given))
    settings = {stage.method: stage.settings for stage in tuning.plan.stages if stage.kind == "pretrain"}
    assert [settings[f"mae-{n}"]["head_lr"] for n in range(3)] == ["0.001", "0.02", "0.05"]
    assert [settings[f"mae-{n}"]["mask_ratio"] for n in range(3)] == ["0.5"] * 3
    assert "encoder_lr" not in settings["mae-0"]
    assert settings["simclr-0"]["encoder_lr"] == "@head_lr"
    assert "mask_ratio" not in settings["simclr-0"]
    assert tuning.plan.settings_apart == [
        "--set encoder_lr=@head_lr does not reach the pretraining of mae, whose overlay sets it; "
        "mae/encoder_lr=@head_lr would.",
        "--set mae/mask_ratio=0.5 is for mae alone.",
    ]


def test_an_unknown_measure(phantoms, tmp_path):
    with pytest.raises(InputError, match="tune_by: unknown measure 'f1'; there are macro_f1"):
        options(tmp_path, phantoms(), tune_by="f1")
