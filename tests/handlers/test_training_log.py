# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
from ignite.engine import Engine

from monai_semise.handlers import TrainingLogHandler, read_training_log
from monai_semise.utils import InputError


def run(path, phase, losses, epochs=2, start=0):
    """Log an engine whose loss in epoch e, iteration i is ``losses[i] * e``."""
    engine = Engine(lambda engine, batch: losses[(engine.state.iteration - 1) % len(losses)] * engine.state.epoch)
    TrainingLogHandler(path, phase, lambda output: {"loss": output}).attach(engine)
    if start:
        engine.load_state_dict({"epoch": start, "epoch_length": len(losses), "max_epochs": epochs})
    engine.run([{"image": [0, 0]}] * len(losses), max_epochs=epochs)


def test_mean_of_an_epoch_and_images_counted(tmp_path):
    run(tmp_path / "log.csv", "train", [1.0, 3.0])
    rows = read_training_log(tmp_path / "log.csv")
    assert [(row["epoch"], row["loss"]) for row in rows] == [(1, 2.0), (2, 4.0)]
    assert all(row["images_per_second"] > 0 for row in rows)


def test_phases_share_a_file_and_a_resumed_run_replaces_what_it_repeats(tmp_path):
    path = tmp_path / "log.csv"
    run(path, "discriminate", [1.0])
    run(path, "train", [10.0], epochs=3)
    run(path, "train", [20.0], epochs=3, start=1)
    rows = [(row["phase"], row["epoch"], row["loss"]) for row in read_training_log(path)]
    assert rows == [
        ("discriminate", 1, 1),
        ("discriminate", 2, 2),
        ("train", 1, 10),
        ("train", 2, 40),
        ("train", 3, 60),
    ]


def test_foreign_file_is_named(tmp_path):
    (tmp_path / "log.csv").write_text("a,b\n1,x\n")
    with pytest.raises(InputError, match=r"log\.csv: not a training log"):
        read_training_log(tmp_path / "log.csv")
