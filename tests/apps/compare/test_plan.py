# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import shutil

import pytest

from monai_semise.apps.compare.plan import make_plan
from monai_semise.apps.compare.stage import state_of, write_record
from monai_semise.utils import InputError
from tests.apps.compare.finished_runs import finish, options
from tests.bundles.harness import ROOT


@pytest.fixture
def bundles(tmp_path):
    return shutil.copytree(ROOT / "bundles", tmp_path / "bundles")


def states(plan):
    return {(stage.method, stage.kind): state_of(stage) for stage in plan.stages if stage.seed == 0}


def test_what_is_finished_stays_until_its_plan_changes(phantoms, tmp_path, bundles):
    def plan(**given):
        return make_plan(options(tmp_path, phantoms(), bundles=bundles, methods="simclr,semise", **given))

    first = plan()
    assert set(states(first).values()) == {"new"}
    finish(first, first.stages, skill=0.5)
    assert set(states(plan()).values()) == {"finished"}
    # of the decoder alone
    changed = states(plan(segmentation_epochs=7))
    assert {kind for (_, kind), state in changed.items() if state == "new"} == {"segmentation"}
    # of one method: what stands on its encoder is done again too
    overlay = bundles / "methods" / "simclr.json"
    content = json.loads(overlay.read_text())
    overlay.write_text(json.dumps({**content, "temperature": 0.1}))
    changed = states(plan())
    assert {method for (method, _), state in changed.items() if state == "new"} == {"simclr"}
    overlay.write_text(json.dumps({**content, "_desc_": "other words"}))
    assert set(states(plan()).values()) == {"finished"}
    # of all: another seed changes nothing of the first
    assert set(states(plan(n_seeds=3)).values()) == {"finished"}
    assert set(states(plan(epochs=3)).values()) == {"new"}


def test_a_stage_without_its_summary_is_not_finished(phantoms, tmp_path):
    stage = make_plan(options(tmp_path, phantoms())).stages[0]
    write_record(stage, "finished")
    assert state_of(stage) == "started"
    (stage.folder / "stage.json").write_text("{")
    assert state_of(stage) == "new"


def test_one_bad_method_keeps_no_other_from_running(phantoms, tmp_path, bundles):
    bad = {"train::sampler": {"_target_": "monai_semise.data.NoSuchSampler"}}
    (bundles / "methods" / "bad.json").write_text(json.dumps(bad))
    plan = make_plan(options(tmp_path, phantoms(), bundles=bundles, methods="bad,simclr"))
    problems = {stage.method: stage.problem for stage in plan.stages}
    assert "NoSuchSampler" in problems["bad"]
    assert "\n" not in problems["bad"]
    assert problems["simclr"] == ""
    assert plan.images_seen["bad"] == []


def test_all_methods_learn_from_the_same_labels(phantoms, tmp_path):
    plan = make_plan(options(tmp_path, phantoms(), methods="simclr,semise", shares=(0.5, 1.0)))
    lists = {}
    for stage in plan.stages:
        lists.setdefault((stage.share, stage.seed), set()).add(stage.settings["datalist"])
        assert stage.settings["seed"] == str(stage.seed)
        assert stage.settings["select"] == "last"
    assert len(lists) == 4
    assert all(len(own) == 1 for own in lists.values())
    encoders = {s.settings["encoder"] for s in plan.stages if s.kind != "pretrain"}
    assert encoders == {str(s.folder / "encoder.pt") for s in plan.stages if s.kind == "pretrain"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shares": (0.0,)}, r"labelled: 0.0 is not a share in \(0, 1\]"),
        ({"shares": (0.5, 0.5)}, "holds a number twice"),
        ({"shares": ()}, "no share given"),
        ({"n_seeds": 0}, "seeds: 0 is less than 1"),
        ({"epochs": -1}, "epochs: -1 is less than 1"),
        ({"jobs": 0}, "jobs: 0 is less than 1"),
    ],
)
def test_numbers_out_of_range(tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        options(tmp_path, tmp_path / "datalist.json", **given)


def test_bad_datalists(phantoms, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        make_plan(options(tmp_path, tmp_path / "none.json"))
    content = json.loads(phantoms().read_text())
    root = phantoms().parent
    for section in ("training", "validation", "test", "unlabelled"):
        for item in content[section]:
            item["image"] = str(root / item["image"])
            item.pop("mask", None)
    for changed, message in (
        ({**content, "test": []}, "the test section is empty"),
        ({**content, "test": [{**item, "severity": None} for item in content["test"]]}, "no test image has a severity"),
    ):
        (tmp_path / "datalist.json").write_text(json.dumps(changed))
        with pytest.raises(InputError, match=message):
            make_plan(options(tmp_path, tmp_path / "datalist.json"))
    (tmp_path / "datalist.json").write_text(json.dumps(content))  # without masks
    plan = make_plan(options(tmp_path, tmp_path / "datalist.json"))
    assert {stage.kind for stage in plan.stages} == {"pretrain", "classification"}
