# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine, Events

from monai_semise.handlers import TrainingCheckpointHandler, remove_checkpoints
from monai_semise.utils import InputError


class Part:
    """A one-weight network with optimizer, schedule and a validation whose metric is scripted."""

    def __init__(self, folder, metrics, **options):
        self.network = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(self.network.weight, 0.0)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=0.9)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 1, 0.5)
        self.evaluator = Engine(lambda engine, batch: None)
        self.evaluator.state.best_metric, self.evaluator.state.best_metric_epoch = -1, -1
        self.epochs: list[int] = []
        self.trainer = Engine(self.step)
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, self.validate, metrics)
        TrainingCheckpointHandler(
            folder, "train", self.network, self.optimizer, self.schedule, self.evaluator, **options
        ).attach(self.trainer)

    def step(self, engine, batch):
        self.optimizer.zero_grad()
        (self.network.weight.sum() - 1).square().backward()
        self.optimizer.step()

    def validate(self, engine, metrics):
        self.schedule.step()
        self.epochs.append(engine.state.epoch)
        metric = metrics[engine.state.epoch - 1]
        if metric > self.evaluator.state.best_metric:
            self.evaluator.state.best_metric, self.evaluator.state.best_metric_epoch = metric, engine.state.epoch

    def run(self, epochs):
        self.trainer.run([0, 1], max_epochs=epochs)
        return self.network.weight.item()


METRICS = [0.2, 0.9, 0.5, 0.6]


def test_resumed_equals_uninterrupted(tmp_path):
    whole = Part(tmp_path / "whole", METRICS).run(4)
    Part(tmp_path / "cut", METRICS).run(2)
    second = Part(tmp_path / "cut", METRICS)
    second.trainer.load_state_dict({"epoch": 0, "epoch_length": 2, "max_epochs": 4})
    assert second.run(4) == whole
    assert second.epochs == [3, 4]
    assert second.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**4)


def test_the_scale_of_mixed_precision_is_kept(tmp_path):
    first, second = (Part(tmp_path, METRICS) for _ in range(2))
    for part, scale in ((first, 8.0), (second, 64.0)):
        part.trainer.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        part.trainer.scaler.scale(torch.ones(()))  # the scale begins with its first use
    first.run(2)
    second.trainer.load_state_dict({"epoch": 0, "epoch_length": 2, "max_epochs": 4})
    second.run(4)
    assert second.trainer.scaler.get_scale() == 8.0


def test_best_weights_survive_a_resumption_with_worse_epochs(tmp_path):
    Part(tmp_path, METRICS).run(2)
    best = torch.load(tmp_path / "train_best.pt", weights_only=True)
    resumed = Part(tmp_path, METRICS)
    resumed.trainer.load_state_dict({"epoch": 0, "epoch_length": 2, "max_epochs": 4})
    resumed.run(4)
    assert torch.equal(torch.load(tmp_path / "train_best.pt", weights_only=True)["weight"], best["weight"])
    assert resumed.evaluator.state.best_metric_epoch == 2


def test_start_anew_deletes_what_was_there(tmp_path):
    Part(tmp_path, METRICS).run(2)
    anew = Part(tmp_path, METRICS, resume=False)
    anew.run(1)
    assert anew.epochs == [1]


def test_other_settings_are_named(tmp_path):
    Part(tmp_path, METRICS, settings={"alpha": 0.5}).run(1)
    with pytest.raises(InputError, match=r"alpha = 0\.5, and now it is 0\.7"):
        Part(tmp_path, METRICS, settings={"alpha": 0.7}).run(2)


def test_a_setting_that_an_earlier_version_had_not_is_named(tmp_path):
    Part(tmp_path, METRICS, settings={"alpha": 0.5}).run(1)
    with pytest.raises(InputError, match="of another version, whose runs had no n_grades"):
        Part(tmp_path, METRICS, settings={"alpha": 0.5, "n_grades": None}).run(2)


def test_damaged_checkpoint_is_named(tmp_path):
    Part(tmp_path, METRICS).run(1)
    file = tmp_path / "train_last.pt"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"train_last\.pt: cannot be loaded"):
        Part(tmp_path, METRICS).run(2)


def test_failed_save_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    Part(tmp_path, METRICS).run(1)
    before = (tmp_path / "train_last.pt").read_bytes()
    resumed = Part(tmp_path, METRICS)
    resumed.trainer.load_state_dict({"epoch": 0, "epoch_length": 2, "max_epochs": 2})

    def full(content, stream):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        resumed.run(2)
    assert (tmp_path / "train_last.pt").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["train_best.pt", "train_last.pt"]


def test_other_content_under_the_same_name_is_named(tmp_path):
    settings = {"datalist": "my.json"}
    Part(tmp_path, METRICS, settings=settings, made_of={"datalist": "ab"}).run(2)
    Part(tmp_path, METRICS, settings=settings, made_of={"datalist": "ab"}).run(2)
    message = "is of a run with content of datalist = ab, and now it is cd"
    with pytest.raises(InputError, match=message):
        Part(tmp_path, METRICS, settings=settings, made_of={"datalist": "cd"}).run(2)


def test_checkpoints_of_all_phases_are_removed(tmp_path):
    names = [f"{phase}_{kind}.pt" for phase in ("discriminate", "train") for kind in ("last", "best")]
    for name in (*names, "other.pt"):
        (tmp_path / name).touch()
    remove_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other.pt"]
    remove_checkpoints(tmp_path / "none")
