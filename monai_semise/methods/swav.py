# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from monai_semise.methods.key_queue import KeyQueue
from monai_semise.methods.projection_net import ProjectionNet
from monai_semise.methods.prototypes import Prototypes
from monai_semise.methods.view_gathering import gather_views
from monai_semise.utils.heads import CONTRAST

__all__ = ["SwavLoss", "SwavNet", "sinkhorn_codes"]


def sinkhorn_codes(scores: Tensor, epsilon: float = 0.05, n_iterations: int = 3) -> Tensor:
    r"""Share images out to prototypes evenly: the codes of SwAV (Sinkhorn and Knopp's iteration, in logarithms).

    The matrix closest to ``exp(scores / epsilon)`` of those whose rows sum to 1 and whose columns all sum to N / K.

    Args:
        scores: similarity of N images with K prototypes, shape (N, K).
        epsilon: softness of the assignment.
        n_iterations: the columns' sums are met the better the more; the rows' exactly.

    Returns:
        tensor of shape (N, K).

    Example:
        >>> sinkhorn_codes(torch.tensor([[0.9, 0.1], [0.8, 0.3]])).argmax(dim=1)  # both are nearest to the first
        tensor([0, 1])
    """
    logits = scores / epsilon
    for _ in range(n_iterations):
        logits = logits.log_softmax(dim=0).log_softmax(dim=1)
    return logits.exp()


class SwavNet(ProjectionNet):
    """A :class:`monai_semise.methods.projection_net.ProjectionNet` that trains the prototypes of its loss along.

    Args:
        backbone: see :class:`monai_semise.networks.SeverityNet`.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        embedding_dim: dimension D of the projection.
        loss: the loss of the run, whose prototypes and queue belong to what is trained and saved.

    Example:
        >>> network = SwavNet("resnet10", embedding_dim=32, loss=SwavLoss(32, n_prototypes=7, queue_size=9))
        >>> [name for name, _ in network.named_parameters() if "loss" in name]
        ['loss.prototypes.weight']
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        in_channels: int = 1,
        embedding_dim: int = 256,
        loss: nn.Module | None = None,
    ) -> None:
        super().__init__(backbone, spatial_dims, in_channels, embedding_dim)
        self.loss = loss


class SwavLoss(nn.Module):
    r"""The loss of SwAV (Caron et al. 2020, arXiv 2006.09882): predict from one view the code of the other.

    .. math::
        L = -\frac{1}{2N} \sum_i \sum_k c_{j(i)k} \log \mathrm{softmax}_k(\cos(z_i, p) / \tau)

    The codes are those of :func:`sinkhorn_codes` over the batch and, once it is full, a queue of earlier embeddings,
    without which a small batch could not be shared out to many prototypes.

    Args:
        embedding_dim: dimension D of an embedding.
        n_prototypes: how many, K.
        queue_size: earlier embeddings that take part.
        temperature: :math:`\tau > 0`.
        epsilon: softness of the codes.

    Attributes:
        terms: value of the loss at the last call, and how many prototypes the batch uses (perplexity of the mean
            prediction, 1 to K), for the log.

    Example:
        >>> loss = SwavLoss(embedding_dim=8, n_prototypes=5, queue_size=16)
        >>> loss(torch.randn(2, 6, 2, 8), {}).shape, sorted(loss.terms)
        (torch.Size([]), ['loss', 'used_prototypes'])
    """

    def __init__(
        self,
        embedding_dim: int,
        n_prototypes: int,
        queue_size: int,
        temperature: float = 0.1,
        epsilon: float = 0.05,
    ) -> None:
        super().__init__()
        self.prototypes = Prototypes(embedding_dim, n_prototypes)
        self.queue = KeyQueue(queue_size, embedding_dim)
        self.temperature = temperature
        self.epsilon = epsilon
        self.terms: dict[str, Tensor] = {}

    def forward(self, input: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """
        Args:
            input: two views, shape (2, N, H, D); they join the queue.
            target: not used.
        """
        embeddings = gather_views(input)[:, :, CONTRAST]
        scores = self.prototypes(embeddings.flatten(0, 1)).unflatten(0, embeddings.shape[:2])
        codes = torch.stack([self._codes(view) for view in scores.detach()])
        logits = (scores / self.temperature).log_softmax(dim=2)
        value = -(codes.flip(0) * logits).sum(dim=2).mean()
        self.queue.push(embeddings.detach().flatten(0, 1))
        use = logits.detach().flatten(0, 1).logsumexp(dim=0) - math.log(logits.shape[0] * logits.shape[1])
        self.terms = {"loss": value.detach(), "used_prototypes": (-(use.exp() * use).sum()).exp()}
        return value

    @torch.no_grad()
    def _codes(self, scores: Tensor) -> Tensor:
        earlier = self.prototypes(self.queue.keys()) if self.queue.full else scores[:0]
        return sinkhorn_codes(torch.cat([earlier, scores]), self.epsilon)[len(earlier) :]
