# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from torch import nn
from torch.utils.data import Dataset

from monai_semise.apps.evaluation_table import SHOWN, evaluation_text, write_evaluation_csv
from monai_semise.apps.print_files import print_files
from monai_semise.apps.run_settings import write_run_settings
from monai_semise.handlers import read_training_log
from monai_semise.metrics import Evaluation
from monai_semise.utils import is_main_process, load_checkpoint, save_checkpoint, unwrap, write_json
from monai_semise.visualize import plot_curves

__all__ = ["Findings", "TrainingReport"]

COMMON_FILES = {
    "settings.json": "what inference needs to know of the run",
    "measures.csv": "every measure with its 95 % interval, beside predictors that never look at an image",
    "summary.json": "the same, for programs",
    "curves.png": "loss terms and validation measures over the epochs",
    "log.csv": "one row an epoch",
    "checkpoints": "what a resumed run needs",
    "tensorboard": "every iteration; open with tensorboard --logdir",
}


class Findings(NamedTuple):
    """What a report found.

    Example:
        >>> Findings({"test": {"images": 9}}, evaluations={}).lines
        ()
    """

    summary: dict[str, Any]
    """Content of ``summary.json``: by section."""
    evaluations: dict[str, Evaluation]
    """By section."""
    lines: Sequence[str] = ()
    """To print before the evaluations."""


class TrainingReport(ABC):
    """What every training run leaves behind: the best network, its settings, measures, curves. Subclasses add theirs.

    Args:
        output_dir: folder of the run, which holds ``log.csv`` and ``checkpoints/``.
        network: the trained network; gets the weights of the checkpoint.
        checkpoint: weights to report on, such as those of the best epoch.
        sections: image sets to look at and their datalist items, by name; empty ones are left out.
        settings: of network and preprocessing, kept in ``settings.json`` for inference.
        num_workers: loader processes.
        n_resamples: of the bootstrap by patient.

    Attributes:
        files: what the subclass writes besides, with a line on each to print.
        shown: measures of the printed table; None shows all.
    """

    files: ClassVar[Mapping[str, str]]
    shown: ClassVar[Sequence[str] | None] = SHOWN

    def __init__(
        self,
        output_dir: str | os.PathLike,
        network: nn.Module,
        checkpoint: str | os.PathLike,
        sections: Mapping[str, tuple[Dataset, Sequence[Mapping[str, Any]]]],
        settings: Mapping[str, Any] | None = None,
        num_workers: int = 0,
        n_resamples: int = 1000,
    ) -> None:
        self.folder = Path(output_dir)
        self.network: Any = unwrap(network)
        self.checkpoint = checkpoint
        self.sections = {name: section for name, section in sections.items() if section[1]}
        self.settings = dict(settings or {})
        self.num_workers = num_workers
        self.n_resamples = n_resamples

    def write(self) -> dict[str, Any]:
        """Write all files and print where they are.

        Returns:
            the content of ``summary.json``; in a distributed run, nothing on ranks other than 0.
        """
        if not is_main_process():
            return {}
        content = load_checkpoint(self.checkpoint)
        self.network.load_state_dict(content.get("network", content))  # that of the last epoch holds more
        self.network.eval()
        self._complete_network()
        save_checkpoint(self.folder / "model.pt", self.network.state_dict())
        write_run_settings(self.folder, self.settings)
        findings = self._find()
        if findings.evaluations:
            write_evaluation_csv(self.folder / "measures.csv", findings.evaluations)
        write_json(self.folder / "summary.json", findings.summary)
        plot_curves(read_training_log(self.folder / "log.csv"), self.folder / "curves.png")
        self._print(findings)
        return findings.summary

    def _complete_network(self) -> None:  # noqa: B027
        """Set what training leaves open, before the network is saved."""

    @abstractmethod
    def _find(self) -> Findings:
        """Look at the sections and write the files of the subclass."""

    def _print(self, findings: Findings) -> None:
        lines = [*findings.lines]
        for name, evaluation in findings.evaluations.items():
            every = dict.fromkeys(measure for row in evaluation.rows.values() for measure in row)
            lines += ["", *evaluation_text(name, evaluation, list(every) if self.shown is None else self.shown)]
        print_files(self.folder, {**self.files, **COMMON_FILES}, lines)
