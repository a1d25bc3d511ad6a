# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from tqdm import tqdm

from monai_semise.utils import InputError, is_main_process, write_whole

__all__ = ["TrainingLogHandler", "read_training_log"]

Row = dict[str, Any]
TYPES: dict[str, type] = {"phase": str, "epoch": int}
"""Columns that hold no float."""
HIDDEN = ("phase", "epoch", "seconds", "training_seconds")
"""Columns of the file that the printed line leaves out."""


def read_training_log(path: str | os.PathLike) -> list[Row]:
    """Rows of the CSV file that :class:`TrainingLogHandler` writes; the epoch as int, other numbers as float.

    Empty cells are left out.

    Raises:
        InputError: when the file is not such a log.
    """
    with open(path, encoding="utf-8", newline="") as stream:
        rows: list[Row] = list(csv.DictReader(stream))
    try:
        return [{name: TYPES.get(name, float)(value) for name, value in row.items() if value} for row in rows]
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: not a training log ({error}); delete it, or name another output_dir") from error


class TrainingLogHandler:
    """One row an epoch in a CSV file: mean of each loss term, metrics of the last validation, speed.

    The file is written whole at the end of each epoch. Rows of epochs that a resumed run repeats are replaced.

    Args:
        path: the CSV file; phases of one run share it.
        phase: name of the phase, in the first column.
        output_transform: maps the engine's output to numbers, such as :class:`monai_semise.handlers.LossTerms`.
        evaluator: validation engine; its metrics are logged for the epochs in which it ran.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        phase: str,
        output_transform: Callable[[Any], dict[str, float]],
        evaluator: Engine | None = None,
    ) -> None:
        self.path = Path(path)
        self.phase = phase
        self.output_transform = output_transform
        self.evaluator = evaluator
        self.logger = logging.getLogger("monai_semise")
        self._reset()

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, after its validation handler."""
        if is_main_process():
            engine.add_event_handler(Events.EPOCH_STARTED, self._start)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _reset(self) -> None:
        self.sums: dict[str, float] = {}
        self.iterations = 0
        self.images = 0
        self.started = time.perf_counter()

    def _start(self, engine: Engine) -> None:
        self._reset()

    def _collect(self, engine: Engine) -> None:
        for name, value in self.output_transform(engine.state.output).items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.iterations += 1
        batch: Any = engine.state.batch
        self.images += len(batch["image"])
        self.trained = time.perf_counter()

    def _write(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        row: Row = {"phase": self.phase, "epoch": epoch}
        row |= {name: total / self.iterations for name, total in self.sums.items()}
        # MONAI gives a validation the epoch of the trainer that asked for it; earlier measures are not this epoch's
        if self.evaluator is not None and self.evaluator.state.epoch == epoch:
            row |= self.evaluator.state.metrics
        training_seconds = self.trained - self.started
        row |= {
            "images_per_second": self.images / training_seconds,
            "training_seconds": training_seconds,
            "seconds": time.perf_counter() - self.started,
        }
        earlier = [r for r in self._read() if r["phase"] != self.phase or r["epoch"] < epoch]
        rows = [*earlier, row]
        columns = list(dict.fromkeys(name for r in rows for name in r))
        with write_whole(self.path) as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(rows)
        shown = ", ".join(f"{k} {v:.3f}" for k, v in row.items() if k not in HIDDEN)
        with tqdm.external_write_mode():  # clears a progress bar from the line first
            self.logger.info(f"{self.phase}, epoch {epoch}/{engine.state.max_epochs}: {shown}")

    def _read(self) -> list[Row]:
        return read_training_log(self.path) if self.path.is_file() else []
