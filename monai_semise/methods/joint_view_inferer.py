# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from monai_semise.engines import ViewInferer

__all__ = ["JointViewInferer"]


class JointViewInferer(ViewInferer):
    """Give the network all views of an image together, where :class:`monai_semise.engines.ViewInferer` gives each as an
    image of its own.

    Example:
        >>> import torch
        >>> JointViewInferer()(torch.rand(2, 4, 3), torch.nn.Flatten()).shape
        torch.Size([1, 4, 6])
    """

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """
        Args:
            inputs: views of shape (V, N, C, *spatial).
            network: maps (N, V, C, *spatial) to (N, H, D).

        Returns:
            tensor of shape (1, N, H, D).
        """
        return self.inferer(inputs.transpose(0, 1), network, *args, **kwargs)[None]
