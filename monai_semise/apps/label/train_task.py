# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.bundle import ConfigParser, ConfigWorkflow
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from monai_semise.apps.label.labelled_items import graded_sections, outlined_sections
from monai_semise.apps.label.packed_model import PackedModel
from monai_semise.apps.pack.kinds import KINDS
from monai_semise.utils import InputError, ensure_writable, load_checkpoint, write_json

__all__ = ["PackedTrainTask"]

RUNS = "runs"
"""Folder of the training runs below that of the app."""


class PackedTrainTask(TrainTask):
    """Go on with the training of a packed bundle on what was labelled so far.

    The new model takes the place of the old one if it is better on the held-out labels by the key metric of the
    bundle's training config. MONAI Label runs it in a process of its own, which ``DELETE /train/`` ends; the old model
    then stays.

    Args:
        model: the bundle.
        folder: of the app.
    """

    def __init__(self, model: PackedModel, folder: Path) -> None:
        super().__init__(f"Train {KINDS[model.name].title.lower()} on what was labelled so far")
        self.model = model
        self.folder = folder

    def config(self) -> dict[str, Any]:
        """What a request can set."""
        return {"max_epochs": 5, "batch_size": 16}

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train, and say how good the old and the new model are, and whether the new one took its place.

        Raises:
            InputError: when there are too few labels, or a setting cannot be used.
        """
        given = {name: request.get(name, value) for name, value in self.config().items()}
        for name, value in given.items():
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name}: {value!r} is not a whole number above 0")
        run = ensure_writable(self.folder / RUNS / self.model.folder.name)
        shutil.rmtree(run)
        write_json(run / "datalist.json", self._datalist(datastore))
        overrides = self._overrides(run, given)
        before = self._validated(overrides, self.model.weights)
        print(f"Before training: {before:.4f}", flush=True)
        self._train(overrides)
        after = self._validated(overrides, run / "model.pt")
        if after > before:
            self._swap(run)
        print(f"After training: {after:.4f}, {'taken' if after > before else 'not taken'}", flush=True)
        return {"before": before, "after": after, "taken": after > before}

    def _datalist(self, datastore: Datastore) -> dict[str, Any]:
        if self.model.name == "semise_segmentation":
            structures = self.model.config["structures"]
            return {"structures": structures, **outlined_sections(datastore, datastore.get_image_uri)}
        grades = self.model.config["grade_names"]
        return {"grades": grades, **graded_sections(datastore, datastore.get_image_uri, len(grades))}

    def _overrides(self, run: Path, given: Mapping[str, Any]) -> dict[str, Any]:
        weights = f"monai_semise.utils.load_checkpoint({str(self.model.weights)!r})"
        overrides = {
            "bundle_root": str(self.model.folder),
            "output_dir": str(run),
            "datalist": str(run / "datalist.json"),
            "batch_size": given["batch_size"],
            "train::trainer::max_epochs": given["max_epochs"],
            "n_resamples": 0,
            "initialize": [f"$@network.load_state_dict({weights})"],
        }
        return overrides if self.model.name == "semise_pretrain" else {**overrides, "encoder": "null"}

    @property
    def _config(self) -> str:
        return str(self.model.folder / "configs" / "train.json")

    def _validated(self, overrides: Mapping[str, Any], weights: Path) -> float:
        """Key metric on the held-out labels."""
        parser = ConfigParser(ConfigParser.load_config_file(self._config))
        for name, value in overrides.items():
            parser.set(value, name)
        parser.get_parsed_content("network").load_state_dict(load_checkpoint(weights))
        evaluator = parser.get_parsed_content("validate::evaluator")
        evaluator.run()
        return float(evaluator.state.metrics[evaluator.state.key_metric_name])

    def _train(self, overrides: Mapping[str, Any]) -> None:
        workflow = ConfigWorkflow(self._config, logging_file=False, workflow_type="train", **overrides)
        workflow.initialize()
        trainer = workflow.parser.get_parsed_content("train::trainer")
        trainer.add_event_handler(
            Events.EPOCH_COMPLETED,
            lambda engine: print(f"Epoch {engine.state.epoch} of {engine.state.max_epochs}", flush=True),
        )
        workflow.run()

    def _swap(self, run: Path) -> None:
        """Put the files of a run in place, each whole, the weights last: by them the server sees that they are new."""
        for name in (*KINDS[self.model.name].files, self.model.weights.name):
            target = self.model.weights.with_name(name)
            if (run / name).is_file():
                shutil.copy(run / name, target.with_suffix(".new"))
                os.replace(target.with_suffix(".new"), target)
            else:
                target.unlink(missing_ok=True)
