# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import warnings
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

__all__ = ["BFloat16Inferer"]

SLOW = ("AVX2", "NO AVX")
"""What PyTorch calls x86 processors that compute bfloat16 slower than float32."""


class BFloat16Inferer(Inferer):
    """Run another inferer in mixed precision: convolutions and products in bfloat16, weights and results in float32.

    MONAI's ``amp`` is for CUDA alone; this works on the CPU too, where processors with AMX or AVX-512 BF16 train two to
    three times faster by it (``docs/benchmarks.md``). bfloat16 has the range of float32, so that no loss scaling is
    needed. On x86 processors without AVX-512 it is about ten times slower than float32, and a warning says so.

    Args:
        inferer: what to run.
        enabled: False runs it as it is.

    Warns:
        UserWarning: on a processor that has no fast bfloat16, once.

    Example:
        >>> from monai.inferers import SimpleInferer
        >>> BFloat16Inferer(SimpleInferer())(torch.rand(2, 3), torch.nn.Linear(3, 4)).dtype
        torch.float32
    """

    def __init__(self, inferer: Inferer, enabled: bool = True) -> None:
        super().__init__()
        self.inferer = inferer
        self.enabled = enabled
        self.warned = False

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """
        Args:
            inputs: as the other inferer takes them.
            network: as the other inferer takes it.

        Returns:
            the tensor that the other inferer gives, as float32.
        """
        if not self.enabled:
            return self.inferer(inputs, network, *args, **kwargs)
        if not self.warned and inputs.device.type == "cpu" and torch.backends.cpu.get_cpu_capability() in SLOW:
            warnings.warn(
                "bf16: this processor has neither AMX nor AVX-512, so that bfloat16 is many times slower here than "
                "float32; leave bf16 out (--bf16 False)"
            )
            self.warned = True
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16):
            return self.inferer(inputs, network, *args, **kwargs).float()
