# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from monai.bundle import ConfigParser
from torch.utils.data import Sampler

from monai_semise.data import PairDataset

__all__ = ["PHASE_1", "PHASE_2", "TrainingBudget", "share_epochs"]

PHASE_1, PHASE_2 = "discriminate", "train"
EPOCHS = "trainer::max_epochs"
PAIRS = "n_training_pairs"
SAMPLED_BATCHES = 8
"""Batches of drawn pairs in which distinct images are counted."""


class TrainingBudget(NamedTuple):
    """How long a method trains.

    Example:
        >>> TrainingBudget({"train::trainer::max_epochs": 20}, images=2000, steps=80).images
        2000
    """

    epochs: dict[str, int]
    """Setting of the pretraining bundle, for each phase that the method has; of drawn pairs also their number."""
    images: int
    """That it sees, phase 1 included; an image counts as often as it is seen, its views as one."""
    steps: int
    """Of the optimizer, phase 1 included."""


def share_epochs(config: ConfigParser, items: Sequence[Mapping[str, Any]], epochs: int) -> TrainingBudget:
    """Epochs of each phase of a method, so that all methods see about as many images.

    The budget is ``epochs`` times all training images, graded or not. What a method calls an epoch may be less than
    that: batches of graded images alone, whole batches only. A method of two phases gives phase 1 the part that its
    config gives it; at least one epoch is left for each. Of a method that draws pairs (``n_training_pairs``), an epoch
    may be more than all of that; it then gets one epoch of fewer pairs.

    Args:
        config: pretraining bundle with the method and all settings.
        items: training images and unlabelled ones, each with its ``severity``.
        epochs: passes over all training images.

    Returns:
        the epochs, and what they come to; the difference to the budget is less than an epoch of each phase.
    """
    # a tuple: the parser would look for references in every item of a list
    config.set(tuple({**item, "index": n} for n, item in enumerate(items)), "training_items")
    config.parse()
    config.get_parsed_content("imports")
    wanted = epochs * len(items)
    spent, steps, shared = 0, 0, {}
    if _has_phase_1(config):
        first, second = (config.get(f"{phase}::{EPOCHS}") for phase in (PHASE_1, PHASE_2))
        each = _images_per_epoch(config, PHASE_1)
        n_epochs = max(1, round(wanted * first / (first + second) / each))
        shared[f"{PHASE_1}::{EPOCHS}"] = n_epochs
        spent, steps = n_epochs * each, n_epochs * _steps_per_epoch(config, PHASE_1)
    left = wanted - spent
    if config.get(PAIRS):
        batch_size, n_pairs = (config.get_parsed_content(key) for key in ("batch_size", PAIRS))
        per_pair = _images_per_pair(config, batch_size)
        if n_pairs * per_pair > left:
            shared[PAIRS] = n_pairs = batch_size * max(1, round(left / per_pair / batch_size))
        each_steps = n_pairs // batch_size
        each = round(each_steps * batch_size * per_pair)
    else:
        each, each_steps = _images_per_epoch(config, PHASE_2), _steps_per_epoch(config, PHASE_2)
    n_epochs = max(1, round(left / each))
    shared[f"{PHASE_2}::{EPOCHS}"] = n_epochs
    return TrainingBudget(shared, spent + n_epochs * each, steps + n_epochs * each_steps)


def _has_phase_1(config: ConfigParser) -> bool:
    return any(f"{PHASE_1}::trainer" in str(step).replace("#", "::") for step in config.get("run"))


def _steps_per_epoch(config: ConfigParser, phase: str) -> int:
    return len(config.get_parsed_content(f"{phase}::sampler"))


def _images_per_epoch(config: ConfigParser, phase: str) -> int:
    sampler: Sampler = config.get_parsed_content(f"{phase}::sampler")
    return _steps_per_epoch(config, phase) * len(next(iter(sampler)))


def _images_per_pair(config: ConfigParser, batch_size: int) -> float:
    """Distinct images of batches of drawn pairs and their references, by the number of pairs."""
    pairs, healthy, n_references = (config.get_parsed_content(key) for key in ("pairs", "healthy", "n_references"))
    indices = [{"index": n} for n in range(len(config.get("training_items")))]
    drawn = PairDataset(indices, pairs[: SAMPLED_BATCHES * batch_size], healthy, n_references)
    shown = [{item["index"] for item in drawn[n]} for n in range(len(drawn))]
    batches = [shown[start : start + batch_size] for start in range(0, len(shown), batch_size)]
    return sum(len(set().union(*batch)) for batch in batches) / len(shown)
