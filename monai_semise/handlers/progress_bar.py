# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ignite.engine import Engine, Events
from tqdm import tqdm

from monai_semise.utils import is_main_process

__all__ = ["ProgressBarHandler"]


class ProgressBarHandler:
    """One progress bar over all epochs of a run, with the time left. (Ignite's own bar starts anew every epoch.)

    Args:
        description: what runs, shown before the bar.
        output_transform: maps the engine's output to numbers to show, such as
            :class:`monai_semise.handlers.LossTerms`; None shows none.
        interval: iterations between two updates of these numbers.
    """

    def __init__(
        self,
        description: str,
        output_transform: Callable[[Any], dict[str, float]] | None = None,
        interval: int = 5,
    ) -> None:
        self.description = description
        self.output_transform = output_transform
        self.interval = interval
        self.bar: tqdm | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to an engine."""
        if is_main_process():
            engine.add_event_handler(Events.EPOCH_STARTED, self._start)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._update)
            engine.add_event_handler(Events.COMPLETED, self._close)
            engine.add_event_handler(Events.EXCEPTION_RAISED, self._close_and_raise)

    def _start(self, engine: Engine) -> None:
        state: Any = engine.state
        if self.bar is None:
            total = state.max_epochs * state.epoch_length
            self.bar = tqdm(total=total, initial=state.iteration, desc=self.description, unit="batch", mininterval=0.5)
        if state.max_epochs > 1:
            self.bar.set_description(f"{self.description}, epoch {state.epoch}/{state.max_epochs}")

    def _update(self, engine: Engine) -> None:
        if self.bar is None:
            return
        if self.output_transform is not None and engine.state.iteration % self.interval == 0:
            self.bar.set_postfix(
                {name: f"{value:.3f}" for name, value in self.output_transform(engine.state.output).items()},
                refresh=False,
            )
        self.bar.update()

    def _close(self, engine: Engine) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _close_and_raise(self, engine: Engine, error: Exception) -> None:
        self._close(engine)
        raise error
