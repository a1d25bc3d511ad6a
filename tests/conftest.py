# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from monai_semise.data import ensure_phantoms

# A loaded machine must not fail a test; the same examples every time, so that a failure repeats.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory):
    return tmp_path_factory.mktemp("phantoms")


@pytest.fixture(scope="session")
def phantoms(phantom_root):
    """Path of a small phantom datalist in the format asked for, written once per session: ``phantoms("png")``."""

    def make(image_format="png", size=32):
        return Path(
            ensure_phantoms(
                phantom_root,
                n_training=25,
                n_validation=10,
                n_test=5,
                unlabelled_fraction=0.2,
                size=size,
                image_format=image_format,
                progress=False,
            )
        )

    return make


@pytest.fixture
def graded_items():
    """Datalist items whose image is a tensor that tells its index: ``graded_items([0, 0, 1, 2])``."""

    def make(severity, shape=(1, 8, 8)):
        return [
            {"image": torch.full(shape, (n + 1) / (len(severity) + 1)), "severity": grade, "index": n}
            for n, grade in enumerate(severity)
        ]

    return make
