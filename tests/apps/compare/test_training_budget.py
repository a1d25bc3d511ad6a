# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from monai_semise.apps.compare.stage_configs import read_stage_config
from monai_semise.apps.compare.training_budget import share_epochs
from tests.bundles.harness import ROOT

PRETRAIN = ROOT / "bundles" / "semise_pretrain.json"
PAPER = ROOT / "bundles" / "methods" / "semise-paper.json"
SIMCLR = ROOT / "bundles" / "methods" / "simclr.json"
FIRST, SECOND = "discriminate::trainer::max_epochs", "train::trainer::max_epochs"


def items(n_graded, n_ungraded):
    return [{"severity": n % 4} for n in range(n_graded)] + [{"severity": -1}] * n_ungraded


def test_one_phase_of_whole_batches():
    budget = share_epochs(read_stage_config([PRETRAIN, SIMCLR], {"batch_size": "32"}), items(80, 20), 40)
    assert budget.epochs == {SECOND: 42}  # 3 batches of 32 of the 100 images
    assert (budget.images, budget.steps) == (42 * 96, 42 * 3)


def test_phase_1_counts_and_sees_graded_images_alone():
    config = read_stage_config([PRETRAIN], {"batch_size": "20"})
    budget = share_epochs(config, items(40, 60), 20)
    # 2000 images, 2 of 7 parts for phase 1 with 40 an epoch: 571 / 40 = 14; 1440 are left for epochs of 100
    assert budget.epochs == {FIRST: 14, SECOND: 14}
    assert budget.images == 14 * 40 + 14 * 100
    assert budget.steps == 14 * 2 + 14 * 5


@pytest.mark.parametrize("epochs", [1, 7, 100])
def test_methods_see_as_many_images_but_for_less_than_an_epoch_of_each_phase(epochs):
    given = items(60, 40)
    budgets = [
        share_epochs(read_stage_config(files, {"batch_size": "16"}), given, epochs)
        for files in ([PRETRAIN], [PRETRAIN, SIMCLR])
    ]
    for budget in budgets:
        assert abs(budget.images - epochs * 100) <= (160 if epochs == 1 else 100)


def test_the_part_of_phase_1_is_that_of_the_config():
    config = read_stage_config([PRETRAIN], {FIRST: "10", SECOND: "10", "batch_size": "20"})
    assert share_epochs(config, items(100, 0), 30).epochs == {FIRST: 15, SECOND: 15}


def test_drawn_pairs_are_as_many_as_the_budget_allows():
    budget = share_epochs(read_stage_config([PRETRAIN, PAPER], {"batch_size": "16"}), items(80, 20), 20)
    # 80 graded images an epoch of phase 1, of which 571 / 80 = 7; 1440 images are left, 2 to 3 distinct ones a pair
    assert (budget.epochs[FIRST], budget.epochs[SECOND]) == (7, 1)
    assert 1440 / 3 < budget.epochs["n_training_pairs"] < 1440 / 2
    assert budget.epochs["n_training_pairs"] % 16 == 0
    assert abs(budget.images - 2000) <= 16 * 3 / 2
    assert budget.steps == 7 * 5 + budget.epochs["n_training_pairs"] // 16


def test_few_pairs_are_drawn_for_several_epochs():
    settings = {"batch_size": "16", "n_training_pairs": "64"}
    budget = share_epochs(read_stage_config([PRETRAIN, PAPER], settings), items(80, 20), 20)
    assert set(budget.epochs) == {FIRST, SECOND}
    assert budget.epochs[SECOND] > 5
    assert abs(budget.images - 2000) < 64 * 3
