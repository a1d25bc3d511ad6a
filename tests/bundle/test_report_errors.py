# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from monai.data import DataLoader
from torch.utils.data import Dataset

from monai_semise.transforms import LoadCheckedImaged
from monai_semise.utils import InputError, TrainingError, find_semise_error

SCRIPT = """
from monai_semise.bundle import report_semise_errors
from monai_semise.utils import InputError
report_semise_errors()
report_semise_errors()
try:
    raise {error}
except Exception as error:
    raise RuntimeError("Failed to evaluate") from error
"""


def run(error, **env):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(error=error)],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=120,
        check=False,
    )


def test_own_errors_end_with_their_message_alone():
    done = run('InputError("training[3].severity: -1 is negative")')
    assert done.returncode == 1
    assert "\nError: training[3].severity: -1 is negative\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_own_errors_keep_their_traceback_when_debugging():
    assert "Traceback" in run('InputError("x")', MONAI_DEBUG="1").stderr


def test_other_errors_keep_their_traceback():
    done = run('KeyError("x")')
    assert "Traceback" in done.stderr
    assert "\nError:" not in done.stderr


@pytest.mark.parametrize("kind", [InputError, TrainingError])
def test_found_through_causes_and_contexts(kind):
    inner, middle, outer = kind("inner"), ValueError("middle"), RuntimeError("outer")
    middle.__context__, outer.__cause__ = inner, middle
    assert find_semise_error(outer) is inner


def test_endless_chain_of_causes_ends():
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert find_semise_error(first) is None


class Unreadable(Dataset):
    """Every item of it is a file that is not there."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return LoadCheckedImaged("image", channels=1)({"image": "nowhere.png"})


@pytest.mark.parametrize("num_workers", [0, 1])
def test_found_in_what_a_loader_worker_raised(num_workers):
    with pytest.raises(Exception) as raised:  # noqa: PT011 (torch rebuilds it from text)
        next(iter(DataLoader(Unreadable(), num_workers=num_workers)))
    assert str(find_semise_error(raised.value)).startswith("nowhere.png: no such image")
