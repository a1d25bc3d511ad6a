# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn

from monai_semise.utils import unwrap
from monai_semise.utils.heads import PREFERENCE

__all__ = ["SeverityInferer", "ViewInferer"]


class ViewInferer(Inferer):
    """Encode all views of a batch in one forward pass: one set of batch statistics, one ``DistributedDataParallel``
    synchronization.

    Args:
        inferer: encodes (V * N, C, *spatial), such as :class:`monai_semise.engines.ChunkedInferer`; default is to call
            the network.

    Example:
        >>> import torch
        >>> ViewInferer()(torch.rand(2, 4, 3), torch.nn.Linear(3, 5)).shape
        torch.Size([2, 4, 5])
    """

    def __init__(self, inferer: Inferer | None = None) -> None:
        super().__init__()
        self.inferer = SimpleInferer() if inferer is None else inferer

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """
        Args:
            inputs: views of shape (V, N, C, *spatial).
            network: maps (N, C, *spatial) to (N, H, D).

        Returns:
            embeddings of shape (V, N, H, D).
        """
        return self.inferer(inputs.flatten(0, 1), network, *args, **kwargs).unflatten(0, inputs.shape[:2])


class SeverityInferer(Inferer):
    """Score a batch with a network that has its healthy reference."""

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """
        Args:
            inputs: one view, shape (1, N, C, *spatial).
            network: a :class:`monai_semise.networks.SemiseNet`, bare or in ``DistributedDataParallel``.

        Returns:
            ``score`` of shape (N,), see :meth:`monai_semise.networks.SemiseNet.severity`, and ``embedding``, the
            preference embedding of shape (N, D).
        """
        bare = unwrap(network)  # wrapped, it would wait for ranks that have fewer batches
        embeddings = bare(inputs[0], *args, **kwargs)
        return {"score": bare.severity(embeddings), "embedding": embeddings[:, PREFERENCE]}
