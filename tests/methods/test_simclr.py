# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from ignite.engine import Events

from monai_semise.apps import read_run_settings
from monai_semise.utils import InputError
from tests.methods.harness import assert_learns, first_batch, loss_of, part, silent_gradients, start, train


def test_learns(tmp_path):
    assert_learns(tmp_path, "simclr", epochs=6)


def test_every_weight_gets_a_gradient_and_no_grade_is_read(tmp_path):
    flow = start(tmp_path, "simclr")
    images, _ = first_batch(flow)
    assert len(images) == 2
    assert not torch.equal(*images)
    loss = loss_of(flow, images, {})  # no grade to read
    assert silent_gradients(part(flow, "network"), loss) == []


def test_an_interrupted_run_ends_as_a_whole_one(tmp_path):
    settings = {"train__trainer__max_epochs": 3, "val_interval": 4}
    flow = start(tmp_path, "simclr", **settings)
    train(flow)
    whole = part(flow, "network").state_dict()
    folder = tmp_path / "again"
    flow = start(tmp_path, "simclr", output_dir=str(folder), **settings)
    trainer = part(flow, "train::trainer")
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=1), trainer.terminate)
    train(flow)
    half = part(flow, "network").state_dict()
    assert not torch.equal(half["projection.3.weight"], whole["projection.3.weight"])
    flow = start(tmp_path, "simclr", output_dir=str(folder), **settings)
    part(flow, "train::trainer").run()
    resumed = part(flow, "network").state_dict()
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


def test_a_run_says_that_it_only_leaves_an_encoder(tmp_path):
    flow = start(tmp_path, "simclr", select="last")
    flow.run()
    with pytest.raises(InputError, match=r"holds a ProjectionNet of the method simclr.* train semise_classification"):
        read_run_settings(tmp_path / "run")
