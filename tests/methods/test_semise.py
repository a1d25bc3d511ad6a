# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json

import pytest

from monai_semise.data import PairDataset
from tests.bundles.harness import ROOT
from tests.methods.harness import assert_learns, first_batch, loss_of, part, read_overlay, silent_gradients, start

SHORT = {"semise-paper": {"epochs": 2, "n_training_pairs": 640, "encoder_lr": 0.02, "head_lr": 0.02}}


@pytest.mark.parametrize("name", ["semise", "semise-0.7", "semise-paper", "conpro"])
def test_learns(tmp_path, name):
    assert_learns(tmp_path, name, **{"epochs": 4, "discriminate__trainer__max_epochs": 1, **SHORT.get(name, {})})


@pytest.mark.parametrize(
    ("name", "alpha", "settings"),
    [("semise", 0.5, {}), ("semise-0.7", 0.7, {}), ("semise-paper", 0.5, {"n_training_pairs": 30})],
)
def test_semise_joins_its_terms(tmp_path, name, alpha, settings):
    flow = start(tmp_path, name, **settings)
    images, target = first_batch(flow)
    loss = loss_of(flow, images, target)
    terms = part(flow, "train::loss").terms
    joined = alpha * float(terms["nt_xent"]) + (1 - alpha) * float(terms["preference"])
    of_grades = set() if name == "semise-paper" else {"grade", "ordinal"}
    assert terms.keys() == {"nt_xent", "preference", *of_grades}
    assert float(loss) == pytest.approx(joined + sum(float(terms[term]) for term in of_grades))
    assert silent_gradients(part(flow, "network"), loss) == []


@pytest.mark.parametrize(("grades", "n_grades"), [(None, 4), (["a", "b", "c", "d", "e", "f"], 6)])
def test_the_scale_is_that_of_the_datalist(tmp_path, phantoms, grades, n_grades):
    content = json.loads(phantoms().read_text())
    content["training"] = [item for item in content["training"] if item.get("severity") != 4]
    content["grades"] = grades
    file = phantoms().with_name("of_a_scale.json")
    file.write_text(json.dumps(content))
    flow = start(tmp_path, "semise", datalist=str(file))
    assert part(flow, "network").thresholds.out_features == n_grades - 1
    assert part(flow, "settings")["n_grades"] == n_grades
    without = start(tmp_path, "semise", datalist=str(file), ordinal_weight=0.0)
    assert part(without, "network").thresholds is None
    assert part(without, "settings")["n_grades"] is None


@pytest.mark.parametrize(("unlabelled", "share"), [(0.1, 0.1), (0.75, 0.25)])
def test_ungraded_images_are_no_more_than_a_quarter_of_a_batch(tmp_path, unlabelled, share):
    flow = start(tmp_path, "semise", phantoms__n_training=160, batch_size=40, phantoms__unlabelled_fraction=unlabelled)
    _, target = first_batch(flow)
    assert int((target["severity"] < 0).sum()) == share * 40


def test_conpro_is_preference_alone_after_the_margin_loss(tmp_path):
    flow = start(tmp_path, "conpro", phantoms__unlabelled_fraction=0.4)
    images, target = first_batch(flow)
    assert target["severity"].min() == 0
    loss = loss_of(flow, images, target)
    terms = part(flow, "train::loss").terms
    assert float(terms["nt_xent"]) == 0
    assert float(loss) == pytest.approx(float(terms["preference"]))
    assert 0.127 < float(loss) < 2.13  # the logistic loss of a difference of cosine distances, unscaled
    assert silent_gradients(part(flow, "network"), loss) == []
    assert flow.parser.get("run")[:2] == ["$@discriminate::trainer.run()", "$@train::trainer.run()"]


def test_the_papers_exact_version_has_the_settings_of_the_recipes(tmp_path):
    recipe = json.loads((ROOT / "bundles" / "recipes" / "vindr_mammo.json").read_text(encoding="utf-8"))
    content = read_overlay("semise-paper")
    of_method = {key: value for key, value in recipe.items() if key in content} | {"_desc_": content["_desc_"]}
    drawn = {key: content[key] for key in ("settings::method", "settings::pairs", "pairs")}
    assert content == {**of_method, **drawn}
    assert {"alpha", "preference_scale", "encoder_lr", "head_lr", "batch_size", "train::dataset"} <= set(of_method)
    flow = start(tmp_path, "semise-paper", n_training_pairs=30)
    assert isinstance(part(flow, "train::dataset"), PairDataset)
    _, target = first_batch(flow)
    assert target["pairs"].shape == (12, 2)
    assert [group["lr"] for group in part(flow, "train::optimizer").param_groups] == [0.001, 0.1]
