# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import torch

__all__ = ["SharedEpoch"]


class SharedEpoch:
    """An epoch number in shared memory, so that persistent loader workers see it change."""

    def __init__(self) -> None:
        self._value = torch.zeros((), dtype=torch.int64).share_memory_()

    def set(self, epoch: int) -> None:
        self._value.fill_(epoch)

    def __int__(self) -> int:
        return int(self._value)
