# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os

import ignite.distributed as idist
import torch

from monai_semise.utils import InputError

__all__ = ["start_processes"]


def start_processes() -> None:
    """Join this process with the others that torchrun started: by NCCL on GPUs, by gloo on the CPU.

    For the ``initialize`` list of a bundle config.

    Raises:
        InputError: when torchrun shall restart the processes that die, but would let them read the addresses of dead
            ones (https://github.com/pytorch/pytorch/issues/135712, present in PyTorch 2.13): they then fail to connect,
            most of the time.
    """
    restarts = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))
    if restarts and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise InputError(
            f"torchrun --max-restarts={restarts}: restarted processes would look for each other under old addresses; "
            "start torchrun with TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in the environment"
        )
    idist.initialize("nccl" if torch.cuda.is_available() else "gloo")
