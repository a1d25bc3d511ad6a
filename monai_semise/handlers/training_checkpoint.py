# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from monai_semise.utils import InputError, is_main_process, load_checkpoint, save_checkpoint, unwrap

__all__ = ["TrainingCheckpointHandler", "remove_checkpoints"]


def remove_checkpoints(folder: str | os.PathLike) -> None:
    """Delete the checkpoints of all phases, before the first one starts anew: killed in it and started again, the run
    would otherwise go on with the later phases of the run before."""
    if is_main_process():
        for kind in ("last", "best"):
            for path in Path(folder).glob(f"*_{kind}.pt"):
                path.unlink()


class TrainingCheckpointHandler:
    """Save after each epoch what a resumed run needs, and the best weights apart; resume when started again.

    Used instead of MONAI's ``CheckpointSaver``, which deletes the previous checkpoint before the next one is written
    and does not restore which epoch was best. Together with :class:`monai_semise.handlers.EpochSeedHandler`, a run
    killed at any moment ends, when started again, with the weights of an uninterrupted one (exactly on the CPU).

    Files in ``folder``, each written whole or not at all: ``<phase>_last.pt`` (weights, optimizer, schedule, epoch,
    best metric) and, with an evaluator, ``<phase>_best.pt`` (weights of the epoch with the best key metric).

    Args:
        folder: where the checkpoints lie.
        phase: name of the phase.
        network: network to save, bare or in ``DistributedDataParallel``.
        optimizer: its optimizer.
        lr_scheduler: its schedule.
        evaluator: validation engine with a key metric; None saves no best weights.
        settings: settings that must not change between start and resumption; compared by their printed form.
        made_of: digests of what settings name (:func:`monai_semise.data.datalist_digest`,
            :func:`monai_semise.utils.file_digest`), by setting, which must not change either: trained on one split, a
            network must not be measured on another.
        resume: whether to go on from ``<phase>_last.pt`` when it is there; if not, checkpoints of the phase are
            deleted at the start.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        phase: str,
        network: nn.Module,
        optimizer: Optimizer,
        lr_scheduler: Any,
        evaluator: Engine | None = None,
        settings: Mapping[str, Any] | None = None,
        made_of: Mapping[str, str] | None = None,
        resume: bool = True,
    ) -> None:
        self.last_path = Path(folder) / f"{phase}_last.pt"
        self.best_path = Path(folder) / f"{phase}_best.pt"
        self.phase = phase
        self.network = network
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.evaluator = evaluator
        self.settings = {name: str(value) for name, value in (settings or {}).items()}
        self.settings |= {f"content of {name}": digest for name, digest in (made_of or {}).items()}
        self.resume = resume
        self.logger = logging.getLogger("monai_semise")

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer, after its validation and logging handlers."""
        engine.add_event_handler(Events.STARTED, self._start)
        if is_main_process():
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._save)

    def _start(self, engine: Engine) -> None:
        if not self.resume:
            if is_main_process():
                self.last_path.unlink(missing_ok=True)
                self.best_path.unlink(missing_ok=True)
        elif self.last_path.is_file():
            self._load(engine)

    def _load(self, engine: Engine) -> None:
        checkpoint = load_checkpoint(self.last_path)
        for name, value in self.settings.items():
            if name not in checkpoint["settings"]:
                raise InputError(
                    f"{self.last_path} is of another version, whose runs had no {name}; go on with that version, name "
                    "another --output_dir, or start anew with --resume False"
                )
            before = checkpoint["settings"][name]
            if before != value:
                raise InputError(
                    f"{self.last_path} is of a run with {name} = {before}, and now it is {value}; "
                    "name another --output_dir, restore the setting, or start anew with --resume False"
                )
        unwrap(self.network).load_state_dict(checkpoint["network"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.lr_scheduler.load_state_dict(checkpoint["lr_scheduler"])
        scaler = _scaler(engine)
        if scaler is not None and checkpoint.get("scaler"):
            scaler.load_state_dict(checkpoint["scaler"])
        engine.state.epoch = checkpoint["epoch"]
        engine.state.iteration = checkpoint["epoch"] * engine.state.epoch_length
        if self.evaluator is not None:
            state: Any = self.evaluator.state
            state.best_metric = checkpoint["best_metric"]
            state.best_metric_epoch = checkpoint["best_metric_epoch"]
        self.logger.info(f"{self.phase}: resumed after epoch {checkpoint['epoch']} from {self.last_path}")

    def _save(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        weights = unwrap(self.network).state_dict()
        scaler = _scaler(engine)
        content = {
            "network": weights,
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": self.lr_scheduler.state_dict(),
            "scaler": scaler and scaler.state_dict(),
            "epoch": epoch,
            "settings": self.settings,
        }
        if self.evaluator is not None:
            state: Any = self.evaluator.state
            content |= {"best_metric": state.best_metric, "best_metric_epoch": state.best_metric_epoch}
            # the best first: a kill in between repeats this epoch, and with it the same best
            if state.best_metric_epoch == epoch:
                save_checkpoint(self.best_path, weights)
        save_checkpoint(self.last_path, content)


def _scaler(engine: Engine) -> GradScaler | None:
    """Of mixed precision; MONAI's trainer makes it when it starts."""
    return getattr(engine, "scaler", None)
