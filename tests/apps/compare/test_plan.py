# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from monai_semise.apps.compare.plan import make_plan
from monai_semise.apps.compare.stage import earlier_start, state_of, write_record
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


def test_the_same_files_by_another_path_are_the_same(phantoms, tmp_path, bundles, monkeypatch):
    out, data = tmp_path / "out", tmp_path / "data"
    shutil.copytree(phantoms().parent, data)
    datalist = data / phantoms().name
    first = make_plan(options(out, datalist, bundles=bundles))
    finish(first, first.stages, skill=0.5)
    (tmp_path / "link").symlink_to(data)
    monkeypatch.chdir(tmp_path)
    for folder, file, configs in (
        (tmp_path / "data" / ".." / "out", data / ".." / "data" / datalist.name, bundles / "methods" / ".."),
        (Path("out"), tmp_path / "link" / datalist.name, Path("bundles")),
    ):
        assert set(states(make_plan(options(folder, file, bundles=configs))).values()) == {"finished"}
    # what has only begun has checkpoints, which name the paths
    write_record(first.stages[0], "started")
    assert state_of(first.stages[0]) == "started"
    assert state_of(make_plan(options(Path("out"), datalist, bundles=bundles)).stages[0]) == "new"


def test_settings_that_change_no_result_start_nothing_anew(phantoms, tmp_path):
    given = ("backbone=resnet10", "image_size=32", "batch_size=8")
    first = make_plan(options(tmp_path, phantoms(), settings=given))
    finish(first, first.stages, skill=0.5)
    faster = (*reversed(given), "num_workers=2", "pretrain/images::cache_rate=0.5", "cache_rate=0.5")
    plan = make_plan(options(tmp_path, phantoms(), settings=faster))
    assert "2" in plan.stages[0].command
    assert set(states(plan).values()) == {"finished"}
    assert earlier_start(plan.stages) == []


def test_changed_files_start_all_anew_and_it_is_said(phantoms, tmp_path):
    shutil.copytree(phantoms().parent, tmp_path / "data")
    datalist = tmp_path / "data" / phantoms().name
    first = make_plan(options(tmp_path, datalist))
    finish(first, first.stages, skill=0.5)
    status = os.stat(first.test[0]["image"])
    os.utime(first.test[0]["image"], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    plan = make_plan(options(tmp_path, datalist, settings=("backbone=resnet18", "image_size=32", "batch_size=8")))
    assert set(states(plan).values()) == {"new"}
    assert earlier_start(plan.stages) == [
        "Finished stages that are done anew, their folders replaced: 6. What changed, for how many: setting backbone "
        "(6), pretraining (4), data (2)."
    ]


def test_rows_of_another_version_stay_and_it_is_said(phantoms, tmp_path, monkeypatch):
    plan = make_plan(options(tmp_path, phantoms()))
    finish(plan, plan.stages[:2], skill=0.5)
    monkeypatch.setattr("monai_semise.__version__", "9.9")
    finish(plan, plan.stages[2:], skill=0.5)
    assert set(states(plan).values()) == {"finished"}
    (line,) = earlier_start(plan.stages)
    assert "This is 9.9; of the finished stages are 2 of version 0." in line


def test_records_of_before_this_are_of_another_version(phantoms, tmp_path):
    plan = make_plan(options(tmp_path, phantoms()))
    finish(plan, plan.stages, skill=0.5)
    record = plan.stages[0].folder / "stage.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "plan": {"command": ["python"], "made_of": "a b"}}))
    assert state_of(plan.stages[0]) == "new"
    assert "record of another version of monai_semise (1)." in earlier_start(plan.stages)[0]


def test_settings_for_all_stay_below_the_overlay_and_those_of_a_method_go_over_it(phantoms, tmp_path):
    given = ("backbone=resnet10", "image_size=32", "bf16=True", "channels_last=True")
    apart = ("embedding_dim=64", "pretrain/encoder_lr=0.05", "temperature=0.5", "barlow/train#loss::loss::scale=0.1")
    methods = "simclr,barlow,mae,moco,swav"
    plan = make_plan(options(tmp_path, phantoms(), methods=methods, n_seeds=1, settings=(*given, *apart)))
    settings = {stage.method: stage.settings for stage in plan.stages if stage.kind == "pretrain"}
    for own in settings.values():
        assert [own[name.partition("=")[0]] for name in given] == ["resnet10", "32", "True", "True"]
    assert [method for method in settings if "embedding_dim" not in settings[method]] == ["barlow"]
    assert [method for method in settings if "encoder_lr" not in settings[method]] == ["mae"]
    assert [method for method in settings if "temperature" not in settings[method]] == ["moco", "swav"]
    assert settings["barlow"]["train::loss::loss::scale"] == "0.1"
    assert plan.settings_apart == [
        "--set embedding_dim=64 does not reach the pretraining of barlow, whose overlay sets it; "
        "barlow/embedding_dim=64 would.",
        "--set encoder_lr=0.05 does not reach the pretraining of mae, whose overlay sets it; "
        "mae/encoder_lr=0.05 would.",
        "--set temperature=0.5 does not reach the pretraining of moco and swav, whose overlays set it; "
        "METHOD/temperature=0.5 would.",
        "--set barlow/train::loss::loss::scale=0.1 is for barlow alone.",
    ]
    assert {stage.problem for stage in plan.stages} == {""}


def test_settings_of_semise_are_those_of_its_alphas(phantoms, tmp_path):
    given = options(tmp_path, phantoms(), alphas=(0.25,), settings=("semise/ordinal_weight=0", "semise/alpha=0.9"))
    settings = {stage.method: stage.settings for stage in make_plan(given).stages if stage.kind == "pretrain"}
    assert settings["semise-alpha-0.25"]["ordinal_weight"] == "0"
    assert settings["semise-alpha-0.25"]["alpha"] == "0.25"
    assert "ordinal_weight" not in settings["simclr"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "moco/queue_size=8",
            "names no stage and no method of this comparison; the stages are pretrain,",
        ),
        ("semise/alpha=1", "no stage and no method of this comparison; .* the methods simclr"),
        ("simclr/alhpa=1", 'set: no bundle has a setting "alhpa"; did you mean "alpha"'),
        ("simclr/seed=1", "set: seed is the same for every method"),
        ("simclr/alpha", "is not name=value"),
    ],
)
def test_bad_settings_of_a_method(phantoms, tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        make_plan(options(tmp_path, phantoms(), settings=(given,)))


def test_an_unreadable_method_is_a_row_that_cannot_run(phantoms, tmp_path, bundles):
    for method in (bundles / "methods").iterdir():
        if method.stem != "simclr":
            method.unlink()
    (bundles / "methods" / "semise.json").write_text("{")
    plan = make_plan(options(tmp_path, phantoms(), bundles=bundles, methods="all", alphas=(0.5,)))
    problems = {stage.method: stage.problem for stage in plan.stages}
    assert "semise.json: cannot be read" in problems["semise"]
    assert "semise.json: cannot be read" in problems["semise-alpha-0.5"]
    assert problems["simclr"] == ""
    with pytest.raises(InputError, match=r"semise\.json: cannot be read"):
        make_plan(options(tmp_path, phantoms(), bundles=bundles, methods="semise"))


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
    assert plan.images_seen["bad"] == plan.optimizer_steps["bad"] == []
    (seen, _), (steps, _) = plan.images_seen["simclr"], plan.optimizer_steps["simclr"]
    assert seen == steps * 8


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
    nameless = {name: value for name, value in content.items() if name != "grades"}
    for changed, message in (
        ({**content, "test": []}, "the test section is empty"),
        ({**content, "test": [{**item, "severity": None} for item in content["test"]]}, "no test image has a severity"),
        (
            {**nameless, "test": [{**item, "severity": 5 + n} for n, item in enumerate(content["test"][:2])]},
            "test images have severity 5, 6, which no training image has",
        ),
        (
            {**content, "training": [item for item in content["training"] if item["severity"] != 2]},
            "training: no image of severity 2",
        ),
        (
            {**content, "validation": [{**item, "severity": 1} for item in content["validation"]]},
            "validation images have severity 1 only",
        ),
        (
            {**content, "validation": [{**item, "severity": None} for item in content["validation"]]},
            "validation images have no severity",
        ),
    ):
        (tmp_path / "datalist.json").write_text(json.dumps(changed))
        with pytest.raises(InputError, match=message):
            make_plan(options(tmp_path, tmp_path / "datalist.json"))
    (tmp_path / "datalist.json").write_text(json.dumps(content))  # without masks
    plan = make_plan(options(tmp_path, tmp_path / "datalist.json"))
    assert {stage.kind for stage in plan.stages} == {"pretrain", "classification"}


def test_comparisons_are_no_part_of_a_label_budget(phantoms, tmp_path):
    bundles = shutil.copytree(ROOT / "bundles", tmp_path / "bundles")
    shutil.copy(bundles / "explicit_pairs.json", bundles / "methods" / "pairs.json")
    given = options(tmp_path, phantoms(), bundles=bundles, methods="simclr,pairs", settings=("pairs/pairs_file=p.csv",))
    problems = {stage.method: stage.problem for stage in make_plan(given).stages}
    assert problems["simclr"] == ""
    assert problems["pairs"].startswith("pairs_file: a label budget hides grades, not comparisons of images")
