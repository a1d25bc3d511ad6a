# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import math

import pytest
import torch
from monai.networks.schedulers import DDPMScheduler

from monai_semise.methods.noise_scheduler import noise_scheduler
from monai_semise.utils import InputError


def test_inverted_cosine_is_the_cosine_schedule_with_its_axes_exchanged():
    scheduler = noise_scheduler("inverted_cosine")
    time_at_which_cosine_keeps = [math.cos(math.pi / 2 * float(kept)) ** 2 for kept in scheduler.alphas_cumprod]
    torch.testing.assert_close(torch.tensor(time_at_which_cosine_keeps), torch.arange(1, 1001) / 1000)
    torch.testing.assert_close(scheduler.alphas.double().cumprod(0).float(), scheduler.alphas_cumprod)
    torch.testing.assert_close(scheduler.betas, 1 - scheduler.alphas)


def test_inverted_cosine_spends_most_steps_at_medium_noise():
    def medium(scheduler):
        return ((scheduler.alphas_cumprod > 0.25) & (scheduler.alphas_cumprod < 0.75)).float().mean()

    assert medium(noise_scheduler("inverted_cosine")) > 2 * medium(DDPMScheduler(schedule="cosine"))


@pytest.mark.parametrize("given", [{"schedule": "linear"}, {"schedule": "cosine", "prediction_type": "sample"}])
def test_unknown_names_are_refused_with_those_that_are_known(given):
    name, value = list(given.items())[-1]
    with pytest.raises(InputError, match=rf"{name}.*'{value}' is not one of .*(linear_beta|v_prediction)"):
        noise_scheduler(**given)
