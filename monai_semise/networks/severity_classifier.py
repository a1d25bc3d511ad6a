# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from monai.utils import look_up_option
from torch import Tensor, nn

from monai_semise.networks.encoders import build_encoder, load_encoder_weights
from monai_semise.networks.freezing import FreezableEncoder

__all__ = ["SeverityClassifier"]

HEADS = ("softmax", "corn")


class SeverityClassifier(FreezableEncoder):
    """Encoder f, two dense ReLU layers, dropout and a linear layer to the grades (section 4.1 of the paper).

    Args:
        n_grades: number of grades K.
        backbone: encoder, a name in MONAI's ``FLEXUNET_BACKBONE``.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        encoder_weights: ``encoder.pt`` of pretraining; None starts at random.
        freeze: whether the encoder stays as it is.
        hidden_channels: widths of the dense layers; those of ConPrO's code by default.
        dropout: probability of dropping a feature before the last layer; the paper's is 0.3.
        head: ``"softmax"``, K logits of the grades, or ``"corn"``, K - 1 logits of "worse than grade k, given at least
            k" (Shi et al. 2023, arXiv 2111.08851).

    Example:
        >>> import torch
        >>> network = SeverityClassifier(5, "resnet10", hidden_channels=(32, 16)).eval()
        >>> logits = network(torch.rand(2, 1, 64, 64))
        >>> logits.shape, network.probabilities(logits).sum(dim=1).round(decimals=4).tolist()
        (torch.Size([2, 5]), [1.0, 1.0])
    """

    def __init__(
        self,
        n_grades: int,
        backbone: str = "resnet50",
        spatial_dims: int = 2,
        in_channels: int = 1,
        encoder_weights: str | os.PathLike | None = None,
        freeze: bool = True,
        hidden_channels: Sequence[int] = (1000, 256),
        dropout: float = 0.3,
        head: str = "softmax",
    ) -> None:
        super().__init__()
        self.ordinal = look_up_option(head, HEADS) == "corn"
        self.encoder, channels = build_encoder(backbone, spatial_dims, in_channels)
        if encoder_weights is not None:
            load_encoder_weights(self.encoder, encoder_weights)
        layers: list[nn.Module] = []
        for width in hidden_channels:
            layers += [nn.Linear(channels, width), nn.ReLU()]
            channels = width
        self.head = nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(channels, n_grades - int(self.ordinal)))
        if freeze:
            self.freeze_encoder()

    def features(self, image: Tensor) -> Tensor:
        """f(x): the last feature map, averaged over space; shape (N, 2048) for ResNet-50."""
        return self.encoder(image)[-1].flatten(2).mean(dim=2)

    def forward(self, image: Tensor) -> Tensor:
        """
        Args:
            image: batch of shape (N, in_channels, *spatial), or its features of shape (N, C) where a frozen encoder
                has already seen it.

        Returns:
            logits of shape (N, K), or (N, K - 1) with the ordinal head.
        """
        return self.head(image if image.dim() == 2 else self.features(image))

    @torch.jit.export
    def probabilities(self, logits: Tensor) -> Tensor:
        """Probability of each grade, shape (N, K), float32, from the output of :meth:`forward`."""
        if not self.ordinal:
            return logits.float().softmax(dim=1)
        worse = logits.float().sigmoid().cumprod(dim=1)  # P(grade > k) for k = 0 .. K - 2
        edge = torch.ones_like(worse[:, :1])
        return torch.cat([edge, worse], dim=1) - torch.cat([worse, torch.zeros_like(edge)], dim=1)

    @torch.jit.export
    def grades(self, probabilities: Tensor) -> Tensor:
        """Predicted grade, shape (N,): the most probable one, or the median with the ordinal head (as CORN's authors
        do)."""
        if not self.ordinal:
            return probabilities.argmax(dim=1)
        return (1 - probabilities.cumsum(dim=1)[:, :-1] > 0.5).sum(dim=1)

    @staticmethod
    def expected_grade(probabilities: Tensor) -> Tensor:
        """Sum of each grade k times its probability, in [0, K - 1], shape (N,): the severity of an image."""
        return (probabilities * torch.arange(probabilities.shape[1], device=probabilities.device)).sum(dim=1)

    def score(self, image: Tensor) -> Tensor:
        """Severity of a batch of images, shape (N,); see :meth:`expected_grade`."""
        return self.expected_grade(self.probabilities(self(image)))

    def embedding(self, image: Tensor) -> Tensor:
        """What the last layer sees of a batch of images, shape (N, D), in which neighbours look alike."""
        return self.head[:-2](image if image.dim() == 2 else self.features(image))
