# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
from pathlib import Path

from monai_semise.data.splits import check_labelled_share
from monai_semise.metrics import MEASURES
from monai_semise.utils import InputError

__all__ = ["ComparisonOptions"]


@dataclasses.dataclass(frozen=True)
class ComparisonOptions:
    """What to compare, and how.

    Args:
        datalist: images, grades and, where there are any, masks.
        out: folder of all results.
        methods: names separated by commas, or ``all``.
        n_seeds: runs of each method and label budget, with the seeds from 0.
        shares: label budgets, shares of the training patients in (0, 1].
        bundles: folder of the training bundles, with the methods.
        alphas: of extra runs for the figure of alpha against F1.
        tune: settings that each method tries, see :func:`monai_semise.apps.compare.tuning_grid.tuning_grid`; none
            takes those of its overlay.
        tune_by: measure of the validation images by which the best is chosen, a key of
            :data:`monai_semise.metrics.MEASURES`.
        beside: folders of finished comparisons of other data sets, whose curves that figure shows too.
        epochs: of pretraining, in passes over all training images.
        classification_epochs: None takes those of the bundle.
        segmentation_epochs: None takes those of the bundle.
        settings: see :func:`monai_semise.apps.compare.stage_configs.settings_of_stages`, and of single methods
            :func:`monai_semise.apps.compare.method_settings.give_own_settings`.
        overlays: configs laid over every bundle.
        segmentation: whether to segment, where the datalist has masks.
        jobs: runs at once; None takes one for each GPU, or one.
        n_resamples: of the bootstrap by patient; None takes as many as the rows of the tables need.

    Raises:
        InputError: when a number is out of range.
    """

    datalist: Path
    out: Path
    methods: str = "all"
    n_seeds: int = 5
    shares: tuple[float, ...] = (1.0,)
    bundles: Path = Path("bundles")
    alphas: tuple[float, ...] = ()
    beside: tuple[Path, ...] = ()
    tune: tuple[str, ...] = ()
    tune_by: str = "quadratic_weighted_kappa"
    epochs: int = 20
    classification_epochs: int | None = None
    segmentation_epochs: int | None = None
    settings: tuple[str, ...] = ()
    overlays: tuple[Path, ...] = ()
    segmentation: bool = True
    jobs: int | None = None
    n_resamples: int | None = None

    def __post_init__(self) -> None:
        for option, number in (
            ("seeds", self.n_seeds),
            ("epochs", self.epochs),
            ("classification_epochs", self.classification_epochs),
            ("segmentation_epochs", self.segmentation_epochs),
            ("jobs", self.jobs),
            ("n_resamples", self.n_resamples),
        ):
            if number is not None and number < 1:
                raise InputError(f"{option}: {number} is less than 1")
        for name, values in (("labelled", self.shares), ("alphas", self.alphas)):
            if len(set(values)) < len(values):
                raise InputError(f"{name}: {', '.join(f'{v:g}' for v in values)} holds a number twice; give each once")
        if self.beside and not self.alphas:
            raise InputError("beside: curves of other data sets stand beside that of --alphas, but none are given")
        if self.tune_by not in MEASURES:
            raise InputError(f"tune_by: unknown measure {self.tune_by!r}; there are {', '.join(MEASURES)}")
        if not self.shares:
            raise InputError("labelled: no share given; give some in (0, 1], such as 0.25,1")
        for share in self.shares:
            check_labelled_share(share)
