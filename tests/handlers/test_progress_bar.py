# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
from ignite.engine import Engine

from monai_semise.handlers import ProgressBarHandler


def engine_with_bar(step):
    engine = Engine(step)
    handler = ProgressBarHandler("Phase", lambda output: {"loss": output}, interval=1)
    handler.attach(engine)
    return engine, handler


def test_one_bar_over_all_epochs(capsys):
    engine, handler = engine_with_bar(lambda engine, batch: 0.25)
    engine.run(range(3), max_epochs=2)
    shown = capsys.readouterr().err
    assert "Phase, epoch 2/2: 100%" in shown
    assert "6/6" in shown
    assert "loss=0.250" in shown
    assert handler.bar is None


def test_resumed_run_starts_where_it_was(capsys):
    engine, _ = engine_with_bar(lambda engine, batch: 0.25)
    engine.load_state_dict({"epoch": 1, "epoch_length": 3, "max_epochs": 2})
    engine.run(range(3), max_epochs=2)
    assert "3/6" in capsys.readouterr().err


def test_errors_pass_through():
    def fail(engine, batch):
        raise KeyError("mine")

    engine, handler = engine_with_bar(fail)
    with pytest.raises(KeyError, match="mine"):
        engine.run([0], max_epochs=1)
    assert handler.bar is None
