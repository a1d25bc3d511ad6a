# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json
import random

import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_semise.comparison import ImpliedPreference
from monai_semise.data import PreferencePair
from monai_semise.losses import ComparisonLoss, cosine_distance, preference_loss
from monai_semise.networks import LearnedReferenceNet, SemiseNet
from monai_semise.utils import InputError
from tests.bundles.harness import ROOT, run, weights, workflow

OVERLAY = ROOT / "bundles" / "pairs_only.json"


def compare(items, n_pairs):
    """Rows of a pairs.csv in which the right answer is given."""
    draw = random.Random(0)
    rows = []
    for a, b in (draw.sample(items, 2) for _ in range(n_pairs)):
        winner = "equal" if a.get("severity") == b.get("severity") else "a" if worse(a) > worse(b) else "b"
        rows.append((a["image"], b["image"], winner, "dr x", "2026-01-31T09:00:00Z"))
    return rows


def worse(item):
    return item.get("severity", -1)


@pytest.fixture
def compared(phantoms):
    """A datalist without grades and comparisons of its images: ``compared(["training"])``."""
    graded = phantoms()
    content = json.loads(graded.read_text())

    def make(sections):
        kept = {name: content[name] if name in sections else [] for name in ("training", "validation", "test")}
        rows = [row for items in kept.values() if items for row in compare(items, 40)]
        if len(sections) > 1:
            rows.append((kept["training"][0]["image"], kept["test"][0]["image"], "a", "dr x", ""))
        ungraded = {k: [{"image": item["image"]} for item in items] for k, items in kept.items()}
        datalist, pairs = (graded.with_name(f"{len(sections)}_sections.{kind}") for kind in ("json", "csv"))
        datalist.write_text(json.dumps(ungraded))
        with pairs.open("w", newline="") as stream:
            csv.writer(stream).writerows([("image_a", "image_b", "winner", "rater", "time"), *rows])
        return {"datalist": str(datalist), "pairs_file": str(pairs)}

    return make


@pytest.mark.parametrize("sections", [["training"], ["training", "validation", "test"]], ids=["training", "all"])
def test_learns_and_scores_without_a_grade(tmp_path, compared, sections):
    settings = compared(sections)
    folder = run(tmp_path, OVERLAY, train__trainer__max_epochs=1, **settings)
    log = list(csv.DictReader((folder / "log.csv").open()))
    assert [row["phase"] for row in log] == ["train"]
    assert 0 < float(log[0]["preference"]) < 2
    summary = json.loads((folder / "summary.json").read_text())
    assert sorted(summary) == sorted(set(sections) - {"training"})
    for measures in summary.values():
        assert 0 <= measures["comparison_accuracy"] <= 1
    # the weights are those of a SemiseNet, with the learned reference in the place of the healthy one
    state = weights(folder / "model.pt")
    network = SemiseNet("resnet10", in_channels=1, embedding_dim=16)
    network.load_state_dict(state)
    assert network.has_reference
    assert network.healthy_reference.norm() > 0
    inference = ConfigWorkflow(
        str(ROOT / "bundles" / "semise_severity_inference.json"),
        logging_file=False,
        run_dir=str(folder),
        input=str(tmp_path / "none" if not sections else (ROOT / settings["datalist"]).parent / "images"),
        output_dir=str(tmp_path / "severity"),
    )
    inference.initialize()
    inference.run()
    scores = list(csv.DictReader((tmp_path / "severity" / "severity.csv").open()))
    assert all(0 <= float(row["score"]) <= 2 for row in scores)
    assert len(scores) == len(list((ROOT / settings["datalist"]).parent.joinpath("images").iterdir()))


def test_a_network_with_thresholds_learns_from_comparisons(tmp_path, compared):
    """As of a packed model that was trained with grades; the thresholds stay as they were."""
    flow = workflow(
        tmp_path, OVERLAY, n_grades=4, train__trainer__max_epochs=1, weight_decay=0.0, **compared(["training"])
    )
    flow.initialize()
    before = flow.parser.get_parsed_content("network").thresholds.weight.detach().clone()
    flow.run()
    network = SemiseNet(
        "resnet10", embedding_dim=16, n_grades=json.loads((tmp_path / "run/settings.json").read_text())["n_grades"]
    )
    network.load_state_dict(weights(tmp_path / "run" / "model.pt"))
    assert torch.equal(network.thresholds.weight, before)


def test_without_comparisons(tmp_path, compared):
    settings = {**compared(["training"]), "pairs_file": None}
    with pytest.raises(RuntimeError) as raised:
        workflow(tmp_path, OVERLAY, **settings).initialize()
    error = raised.value
    while error.__cause__ is not None:
        error = error.__cause__
    assert "pairs_file: none given; name the comparisons" in str(error)
    assert isinstance(error, InputError)


def test_the_reference_is_learned_by_the_preference_term_alone():
    torch.manual_seed(0)
    network = LearnedReferenceNet("resnet10", embedding_dim=8).eval()
    images, target = torch.rand(3, 1, 32, 32), {"index": torch.tensor([4, 7, 5])}
    order = ImpliedPreference([PreferencePair(4, 5, 1.0)])  # image 7 was never compared
    loss = ComparisonLoss(order, alpha=0.0, scale=5.0)
    embeddings = network(images)
    distance = cosine_distance(embeddings[:, 1], network.healthy_reference)
    _, preference = order.pairs(target["index"])
    expected = preference_loss(distance[[0]], distance[[2]], preference, scale=5.0)
    value = loss(embeddings[None], target)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    value.backward()
    assert network.healthy_reference.grad.norm() > 0
    network.zero_grad()
    views = torch.stack([network(images), network(images.flip(-1))])
    ComparisonLoss(order, alpha=1.0, grade_weight=1.0)(views, target).backward()
    assert network.healthy_reference.grad.norm() == 0
    assert network.score(images).tolist() == pytest.approx(distance.tolist(), rel=1e-4)
