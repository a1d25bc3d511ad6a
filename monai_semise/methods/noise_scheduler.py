# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import torch
from monai.networks.schedulers import DDPMScheduler
from monai.networks.schedulers.ddpm import DDPMPredictionType
from monai.networks.schedulers.scheduler import NoiseSchedules
from torch import Tensor

from monai_semise.utils import InputError

__all__ = ["inverted_cosine", "noise_scheduler"]

PREDICTION_TYPES = (DDPMPredictionType.EPSILON.value, DDPMPredictionType.V_PREDICTION.value)


@NoiseSchedules.add_def("inverted_cosine", "Inverted cosine schedule of SODA, most of whose steps are at medium noise")
def inverted_cosine(num_train_timesteps: int) -> tuple[Tensor, Tensor, Tensor]:
    r"""The cosine schedule with its axes exchanged (Hudson et al. 2023, arXiv 2311.17901): less time is spent where
    the noise is nearly all, or nearly nothing.

    .. math::
        \bar\alpha_t = \frac{2}{\pi} \arccos \sqrt{t / T}, \quad t = 1, \ldots, T

    Args:
        num_train_timesteps: T.

    Returns:
        :math:`\beta_t`, :math:`1 - \beta_t` and :math:`\bar\alpha_t`, each of shape (T,).

    Example:
        >>> inverted_cosine(4)[2]
        tensor([0.6667, 0.5000, 0.3333, 0.0000])
    """
    time = torch.linspace(0, 1, num_train_timesteps + 1, dtype=torch.float64)
    kept = 2 / math.pi * torch.arccos(time.sqrt())
    alphas = kept[1:] / kept[:-1]
    return (1 - alphas).float(), alphas.float(), kept[1:].float()


def noise_scheduler(schedule: str, prediction_type: str = "epsilon") -> DDPMScheduler:
    """MONAI's scheduler of 1000 noise levels.

    Args:
        schedule: a name in MONAI's ``NoiseSchedules``, such as ``"linear_beta"``, or ``"inverted_cosine"``.
        prediction_type: what is predicted: ``"epsilon"``, the noise, or ``"v_prediction"``, the velocity.

    Raises:
        InputError: for another name.

    Example:
        >>> noise_scheduler("inverted_cosine").num_train_timesteps
        1000
    """
    if schedule not in NoiseSchedules:
        raise InputError(f"noise_schedule: {schedule!r} is not one of {', '.join(sorted(NoiseSchedules.names))}")
    if prediction_type not in PREDICTION_TYPES:
        raise InputError(f"prediction_type: {prediction_type!r} is not one of {', '.join(PREDICTION_TYPES)}")
    return DDPMScheduler(schedule=schedule, prediction_type=prediction_type)
