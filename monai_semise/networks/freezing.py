# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

__all__ = ["FreezableEncoder"]


class FreezableEncoder(nn.Module):
    """Base of networks whose ``encoder`` can be frozen: its weights and its BatchNorm statistics stay as they are.

    Weights without gradients are not enough, because MONAI's trainer calls ``network.train()`` at every iteration, and
    BatchNorm updates its running statistics in training mode.

    Attributes:
        encoder: the module that can be frozen; set by the subclass.
        frozen: whether it is.
    """

    if TYPE_CHECKING:  # TorchScript reads the annotations of a class, and knows no Module
        encoder: nn.Module
    frozen = False

    def freeze_encoder(self) -> None:
        """Keep the encoder as it is from now on, whatever mode the network is put in."""
        self.frozen = True
        self.encoder.requires_grad_(False)
        self.encoder.eval()

    def train(self, mode: bool = True) -> FreezableEncoder:
        """Set the mode of all parts except a frozen encoder."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self
