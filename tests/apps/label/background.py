# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Servers that run beside a test."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

requests = pytest.importorskip("requests", reason="comes with MONAI Label")


@contextmanager
def background(
    command: Sequence[str], url: str, log: Path, seconds: float, env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a server from the moment it answers at ``url``, for which it has some seconds; its output goes to ``log``."""
    with open(log, "w") as stream:
        process = subprocess.Popen(command, cwd=log.parent, env=env, stdout=stream, stderr=subprocess.STDOUT)
        try:
            wait_for(lambda: process.poll() is not None or _answers(url), seconds)
            assert process.poll() is None, log.read_text()[-3000:]
            yield
        finally:
            process.terminate()
            process.wait(30)


def wait_for(done: Callable[[], bool], seconds: float) -> None:
    """Wait until ``done()``."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.5)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).ok
    except requests.ConnectionError:
        return False
