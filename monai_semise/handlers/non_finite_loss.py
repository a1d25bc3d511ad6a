# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

from ignite.engine import Engine
from monai.engines import IterationEvents
from monai.utils import CommonKeys

from monai_semise.utils import TrainingError

__all__ = ["NonFiniteLossHandler"]


class NonFiniteLossHandler:
    """Stop before a loss that is not finite reaches the weights, and say which batch it came from.

    Checkpoints written before stay as they are: the last good one can be resumed.

    Raises:
        TrainingError: naming the epoch, the iteration and the images of the batch.
    """

    def attach(self, engine: Engine) -> None:
        """Attach to a MONAI trainer."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        loss = state.output[CommonKeys.LOSS]
        if loss.isfinite().all():
            return
        names = state.batch.get("image_path", state.batch["index"])
        listed = ", ".join(str(name) for name in list(names)[:8])
        raise TrainingError(
            f"the loss became {float(loss.detach())} in epoch {state.epoch}, iteration {state.iteration}; "
            f"images of that batch: {listed}{', ...' if len(names) > 8 else ''}. "
            "The last good checkpoint is kept. Lower encoder_lr and head_lr (or raise warmup_epochs), or look at "
            "these images"
        )
