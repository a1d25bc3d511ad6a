# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools
import random
import shutil

import numpy as np
import pytest
from PIL import Image

from monai_semise.apps.pack import pack_run
from monai_semise.comparison import AnswerStore
from monai_semise.utils import InputError, load_checkpoint, write_json
from tests.apps.pack import runs
from tests.comparison.data import answer, worse_of
from tests.utils.limits import disk_of

pytest.importorskip("monailabel")

from monai_semise.apps.label.app_folder import COMPARISONS, make_app_folder
from monai_semise.apps.label.datastore import StudyFolder
from monai_semise.apps.label.labelled_items import graded_sections
from monai_semise.apps.label.packed_model import PackedModel
from monai_semise.apps.label.train_task import ComparisonTrainTask, GradeTrainTask, OutlineTrainTask
from tests.apps.label.served import outliner

ALL_TERMS = {"grade_weight": 1.0, "ordinal_weight": 1.0, "n_grades": 3}
GRADES = {f"p{n:02d}": n % 3 for n in range(36)}


@pytest.fixture
def studies(tmp_path):
    """36 images, the worse the larger what is bright in them, without a grade."""
    folder = tmp_path / "studies"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for name, grade in GRADES.items():
        pixels = noise.integers(60, size=(32, 32), dtype=np.uint8)
        pixels[6 : 10 + 8 * grade, 6 : 10 + 8 * grade] += 150
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return StudyFolder(str(folder), extensions=["*.png"])


def packed(tmp_path, run):
    """The packed model of a run, in the folder of an app."""
    bundle = pack_run(run, tmp_path / "packed", runs.BUNDLES)
    folder = make_app_folder(tmp_path / "jane@hospital.org" / "app", [bundle])
    return PackedModel(folder / "model" / bundle.name), folder


@pytest.fixture
def severity(tmp_path):
    run = runs.untrained(tmp_path / "run", grade_names=["healthy", "mild", "severe"], include_healthy=True, **ALL_TERMS)
    return packed(tmp_path, run)


def grade(studies, grades=GRADES):
    for name, severity in grades.items():
        studies.update_image_info(name, {"grade": severity})


def score(model, studies):
    return [model.infer(studies.source(name), lambda found: float(found.rows[0]["score"])) for name in sorted(GRADES)]


def test_a_better_model_is_taken_and_one_that_is_not_better_is_not(severity, studies, capsys):
    model, folder = severity
    grade(studies)
    scored = score(model, studies)
    task = GradeTrainTask(model, folder)
    first = task({"max_epochs": 4, "batch_size": 8}, studies)
    assert first["taken"]
    assert first["before"] < first["after"] == 1.0  # nothing can be better
    assert "Epoch 4 of 4" in capsys.readouterr().out
    assert score(model, studies) != scored
    neighbours = load_checkpoint(model.weights.with_name("training_embeddings.pt"))
    assert neighbours["images"][0] == "training image 1"  # no file of the studies is named
    kept = model.weights.read_bytes()
    second = task({"max_epochs": 1, "batch_size": 8}, studies)
    assert not second["taken"]
    assert second["before"] == 1.0  # as it was served
    assert model.weights.read_bytes() == kept


def test_one_grade_of_disease_is_compared_with_health(tmp_path, studies):
    model, folder = packed(tmp_path, runs.untrained(tmp_path / "run"))
    grade(studies, {name: min(severity, 1) for name, severity in GRADES.items()})
    result = GradeTrainTask(model, folder)({"max_epochs": 1, "batch_size": 16}, studies)
    assert 0 <= result["before"] <= 1
    assert result["taken"] == (result["after"] > result["before"])


def test_it_learns_from_comparisons(severity, studies):
    model, folder = severity
    with AnswerStore(folder / COMPARISONS) as store:
        pairs = random.Random(0).sample([*itertools.combinations(GRADES, 2)], 100)
        for n, pair in enumerate(pairs):
            store.add(answer(n, *pair, outcome=worse_of(pair, GRADES)))
        task = ComparisonTrainTask(model, folder)
        result = task({"max_epochs": 12, "batch_size": 16}, studies)  # while the server has the answers open
    assert result["taken"]
    assert result["after"] > 0.9
    assert "healthy_reference" in load_checkpoint(model.weights)
    assert len(set(score(model, studies))) == len(GRADES)


def test_an_image_that_nobody_could_judge_does_not_matter(severity, studies):
    model, folder = severity
    with AnswerStore(folder / COMPARISONS) as store:
        pairs = random.Random(0).sample([*itertools.combinations(sorted(GRADES)[1:], 2)], 250)
        for n, pair in enumerate(pairs):
            store.add(answer(n, *pair, outcome=worse_of(pair, GRADES)))
        store.add(answer("unclear", "p00", "p01", outcome="cannot_tell"))
    result = ComparisonTrainTask(model, folder)({"max_epochs": 1, "batch_size": 16}, studies)
    assert 0 <= result["before"] <= 1


def test_equal_images_alone_order_nothing(severity, studies):
    model, folder = severity
    with AnswerStore(folder / COMPARISONS) as store:
        for n, pair in enumerate(itertools.combinations(GRADES, 2)):
            store.add(answer(n, *pair, outcome="equal"))
    with pytest.raises(InputError, match="no comparison of two images for training among 630 in which one is worse"):
        ComparisonTrainTask(model, folder)({}, studies)


def test_a_swap_that_fails_changes_nothing(severity, tmp_path):
    model, folder = severity
    write_json(model.weights.with_name("calibration.json"), {"of": "the old model"})
    before = {file.name: file.read_bytes() for file in model.weights.parent.iterdir()}
    run = tmp_path / "better"
    shutil.copytree(tmp_path / "run", run)  # has no calibration
    with disk_of(1000), pytest.raises(OSError, match="File too large"):
        GradeTrainTask(model, folder)._swap(run)
    after = {file.name: file.read_bytes() for file in model.weights.parent.iterdir() if file.suffix != ".new"}
    assert after == before
    GradeTrainTask(model, folder)._swap(run)
    assert not model.weights.with_name("calibration.json").exists()
    assert not list(model.weights.parent.glob("*.new"))


def test_too_little_to_learn_from(severity, studies, tmp_path):
    model, folder = severity
    weights = model.weights.read_bytes()
    for task, message in (
        (GradeTrainTask, "0 graded images for training, of fewer than two grades; grade more images"),
        (ComparisonTrainTask, "no comparison of two images for training among 0"),
    ):
        with pytest.raises(InputError, match=message):
            task(model, folder)({}, studies)
    outlines, folder = packed(tmp_path / "outlines", outliner(tmp_path / "outlines" / "run"))
    with pytest.raises(InputError, match="no outlined images for training among 0; outline more images"):
        OutlineTrainTask(outlines, folder)({}, studies)
    assert model.weights.read_bytes() == weights


def test_it_learns_from_outlines(studies, tmp_path):
    model, folder = packed(tmp_path / "outlines", outliner(tmp_path / "outlines" / "run"))
    mask = np.zeros((32, 32), np.uint8)
    mask[8:20, 8:20] = 1
    mask[22:28, 4:12] = 2
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for name in GRADES:
        studies.save_label(name, str(tmp_path / "mask.png"), "final", {})
    result = OutlineTrainTask(model, folder)({"max_epochs": 1, "batch_size": 8}, studies)
    assert 0 <= result["before"] <= 1
    assert result["taken"] == (result["after"] > result["before"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grade": 3}, "p00: grade 3 is not a whole number from 0 to 2; correct its info"),
        ({"grade": "severe"}, "p00: grade 'severe' is not"),
    ],
)
def test_a_grade_that_is_none(severity, studies, change, message):
    grade(studies)
    studies.update_image_info("p00", change)
    with pytest.raises(InputError, match=message):
        GradeTrainTask(*severity)({}, studies)


@pytest.mark.parametrize("value", [0, "5", 2.5])
def test_a_setting_that_cannot_be_used(severity, studies, value):
    with pytest.raises(InputError, match=r"max_epochs: .* is not a whole number above 0"):
        GradeTrainTask(*severity)({"max_epochs": value}, studies)


def test_what_bundles_raise_is_said_in_one_line(severity, studies):
    grade(studies)
    damaged = studies.source("p00")
    with open(damaged, "w") as stream:
        stream.write("no image")
    with pytest.raises(InputError, match=r"p00\.png: cannot be read as an image") as raised:
        GradeTrainTask(*severity)({"max_epochs": 1}, studies)
    assert raised.value.__suppress_context__


def test_a_patient_stays_on_one_side(severity, studies):
    grade(studies)
    for name in GRADES:
        studies.update_image_info(name, {"PatientID": f"patient {int(name[1:]) // 3}"})
    sections = graded_sections(studies, 3)
    groups = [{item["group"] for item in found} for found in sections.values()]
    assert not groups[0] & groups[1]
    assert len(groups[0] | groups[1]) == 12
    assert not any("patient" in group for found in groups for group in found)
