# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
import shutil
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Events
from monai.bundle import ConfigParser, ConfigWorkflow
from monailabel.interfaces.tasks.train import TrainTask

from monai_semise.apps.label.app_folder import COMPARISONS
from monai_semise.apps.label.datastore import SharedDatastore
from monai_semise.apps.label.labelled_items import compared_sections, graded_sections, outlined_sections
from monai_semise.apps.label.packed_model import PackedModel
from monai_semise.apps.pack.bundle_folder import copy_model_file
from monai_semise.apps.pack.kinds import KINDS
from monai_semise.comparison import export_pairs, read_answers
from monai_semise.utils import InputError, ensure_writable, find_semise_error, load_checkpoint, write_json

__all__ = ["ComparisonTrainTask", "GradeTrainTask", "OutlineTrainTask"]

RUNS = "runs"
"""Folder of the training runs below that of the app."""
PAIRS = "pairs.csv"


class PackedTrainTask(TrainTask):
    """Go on with the training of a packed bundle on what was labelled so far.

    The new model takes the place of the old one if it is better on the held-out labels by the key metric of the
    bundle's training config. MONAI Label runs it in a process of its own, which ``DELETE /train/`` ends; the old model
    then stays.

    Args:
        model: the bundle.
        folder: of the app.
    """

    learns_from: str
    overlays: tuple[str, ...] = ()
    """Configs beside ``train.json``."""

    def __init__(self, model: PackedModel, folder: Path) -> None:
        super().__init__(f"Train {KINDS[model.name].title.lower()} on {self.learns_from} so far")
        self.model = model
        self.folder = folder

    def config(self) -> dict[str, Any]:
        """What a request can set."""
        return {"max_epochs": 5, "batch_size": 16}

    def __call__(self, request: Mapping[str, Any], datastore: SharedDatastore) -> dict[str, Any]:
        """Train, and say how good the old and the new model are, and whether the new one took its place.

        Raises:
            InputError: when there are too few labels, or a setting or an image cannot be used.
        """
        given = {name: request.get(name, value) for name, value in self.config().items()}
        for name, value in given.items():
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name}: {value!r} is not a whole number above 0")
        try:
            return self._improved(datastore, given)
        except Exception as error:
            known = find_semise_error(error)
            if known is None:
                raise
            raise known from None  # MONAI Label shows the last lines of what a process wrote

    @abstractmethod
    def _datalist(self, datastore: SharedDatastore, run: Path) -> dict[str, Any]:
        """What to learn from, for the folder of the run."""

    def _overrides(self, run: Path, given: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "bundle_root": str(self.model.folder),
            "output_dir": str(run),
            "datalist": str(run / "datalist.json"),
            "batch_size": given["batch_size"],
            "train::trainer::max_epochs": given["max_epochs"],
            "n_resamples": 100,  # of a report that nobody reads
            "started_from": str(self.model.weights),
            "initialize": ["$@network.load_state_dict(monai_semise.utils.load_checkpoint(@started_from))"],
            **({} if self.model.name == "semise_pretrain" else {"encoder": "null"}),
        }

    def _improved(self, datastore: SharedDatastore, given: Mapping[str, Any]) -> dict[str, Any]:
        run = ensure_writable(self.folder / RUNS / self.model.folder.name)
        shutil.rmtree(run)
        write_json(run / "datalist.json", self._datalist(datastore, run))
        overrides = self._overrides(run, given)
        before = self._validated(overrides, self.model.weights)
        print(f"Before training: {before:.4f}", flush=True)
        self._train(overrides)
        after = self._validated(overrides, run / "model.pt")
        if after > before:
            self._swap(run)
        print(f"After training: {after:.4f}, {'taken' if after > before else 'not taken'}", flush=True)
        return {"before": before, "after": after, "taken": after > before}

    @property
    def _configs(self) -> list[str]:
        files = [self.model.folder / "configs" / name for name in ("train.json", *self.overlays)]
        for file in files:
            if not file.is_file():
                raise InputError(f"{file}: missing; pack the training run again, and name another --app")
        return [str(file) for file in files]

    def _validated(self, overrides: Mapping[str, Any], weights: Path) -> float:
        """Key metric on the held-out labels."""
        parser = ConfigParser(ConfigParser.load_config_files(self._configs))
        for name, value in overrides.items():
            parser.set(value, name)
        if self.model.name == "semise_pretrain":  # measured as it is served, from the reference that it has
            parser.set(True, "validate::handlers::0::_disabled_")
        parser.get_parsed_content("network").load_state_dict(load_checkpoint(weights))
        evaluator = parser.get_parsed_content("validate::evaluator")
        evaluator.run()
        return float(evaluator.state.metrics[evaluator.state.key_metric_name])

    def _train(self, overrides: Mapping[str, Any]) -> None:
        workflow = ConfigWorkflow(self._configs, logging_file=False, workflow_type="train", **overrides)
        workflow.initialize()
        trainer = workflow.parser.get_parsed_content("train::trainer")
        trainer.add_event_handler(
            Events.EPOCH_COMPLETED,
            lambda engine: print(f"Epoch {engine.state.epoch} of {engine.state.max_epochs}", flush=True),
        )
        workflow.run()

    def _swap(self, run: Path) -> None:
        """Put the files of a run in place when all are copied, the weights last: by them the server sees that they are
        new."""
        targets = [self.model.weights.with_name(name) for name in KINDS[self.model.name].files]
        targets.append(self.model.weights)
        for target in targets:
            target.with_suffix(".new").unlink(missing_ok=True)
            copy_model_file(run / target.name, target.with_suffix(".new"))
        for target in targets:
            if target.with_suffix(".new").is_file():
                os.replace(target.with_suffix(".new"), target)
            else:
                target.unlink(missing_ok=True)


class GradeTrainTask(PackedTrainTask):
    """Learn from the grades that people gave, see :class:`PackedTrainTask`."""

    learns_from = "what was graded"

    def _datalist(self, datastore: SharedDatastore, run: Path) -> dict[str, Any]:
        grades = self.model.config["grade_names"]
        return {"grades": grades, **graded_sections(datastore, len(grades))}

    def _overrides(self, run: Path, given: Mapping[str, Any]) -> dict[str, Any]:
        overrides = super()._overrides(run, given)
        if self.model.name == "semise_pretrain" and not _diseased_images_compare(run / "datalist.json"):
            overrides["include_healthy"] = True
        return overrides


class OutlineTrainTask(PackedTrainTask):
    """Learn from the outlines that people drew, see :class:`PackedTrainTask`."""

    learns_from = "what was outlined"

    def _datalist(self, datastore: SharedDatastore, run: Path) -> dict[str, Any]:
        return {"structures": self.model.config["structures"], **outlined_sections(datastore)}


class ComparisonTrainTask(PackedTrainTask):
    """Learn from comparisons, see :class:`PackedTrainTask`.

    The reference that severity is measured from starts from that of the model, and is learned. Grades, where people
    gave some, serve to calibrate the scores.
    """

    learns_from = "what was compared"
    overlays = ("pairs_only.json",)

    def config(self) -> dict[str, Any]:
        return {**super().config(), "max_epochs": 20}

    def _datalist(self, datastore: SharedDatastore, run: Path) -> dict[str, Any]:
        file = self.folder / COMPARISONS
        answers = read_answers(file) if file.is_file() else []
        grades = self.model.config["grade_names"]
        datalist = {"grades": grades, **compared_sections(datastore, len(grades), answers)}
        files = {image: datastore.path(image) for image in datastore.list_images()}
        export_pairs(run / PAIRS, answers, files)
        return datalist

    def _overrides(self, run: Path, given: Mapping[str, Any]) -> dict[str, Any]:
        own = {"pairs_file": str(run / PAIRS), "select": "best", "n_grades": self.model.config.get("n_grades")}
        return {**super()._overrides(run, given), **own}


def _diseased_images_compare(datalist: Path) -> bool:
    """Whether every section has diseased images of two grades."""
    content = json.loads(datalist.read_text(encoding="utf-8"))
    return all(len({item["severity"] for item in content[name]} - {0}) > 1 for name in ("training", "validation"))
