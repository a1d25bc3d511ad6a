# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

from torch import nn

from monai_semise.utils import InputError

__all__ = ["discriminative_groups"]


def discriminative_groups(
    network: nn.Module, encoder_lr: float, head_lr: float, stage_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Parameter groups for fine-tuning: the deeper a stage of the encoder, the larger its learning rate.

    Discriminative learning rates after Howard and Ruder 2018 (arXiv 1801.06146): the last stage of the encoder learns
    with ``encoder_lr``, each earlier one with ``stage_decay`` times the rate of the next. Stages are the direct
    children of ``network.encoder`` that hold weights, in their order; those before the first one that is called
    ``layer...`` or ``block...`` form the stem.

    Args:
        network: has an ``encoder``; all other parts learn with ``head_lr``.
        encoder_lr: rate of the last stage.
        head_lr: rate of what is not encoder.
        stage_decay: factor in (0, 1].

    Returns:
        groups for a torch optimizer, the stem first and the head last; frozen parameters are left out.

    Example:
        >>> from monai_semise.networks import SeverityClassifier
        >>> network = SeverityClassifier(3, "resnet10", freeze=False)
        >>> [group["lr"] for group in discriminative_groups(network, 0.01, 0.1, stage_decay=0.5)]
        [0.000625, 0.00125, 0.0025, 0.005, 0.01, 0.1]
    """
    if not 0 < stage_decay <= 1:
        raise InputError(f"stage_decay: {stage_decay} is not in (0, 1]")
    stages: list[list[nn.Parameter]] = [[]]
    encoder: Any = network.encoder
    for name, child in encoder.named_children():
        if name.startswith(("layer", "block")):
            stages.append([])
        stages[-1] += [parameter for parameter in child.parameters() if parameter.requires_grad]
    inside = {id(parameter) for parameter in encoder.parameters()}
    head = [p for p in network.parameters() if p.requires_grad and id(p) not in inside]
    groups = [
        {"params": parameters, "lr": encoder_lr * stage_decay ** (len(stages) - 1 - n)}
        for n, parameters in enumerate(stages)
    ]
    return [group for group in (*groups, {"params": head, "lr": head_lr}) if group["params"]]
