# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

from monai_semise.apps.compare.left_out import LONGEST
from monai_semise.apps.compare.stage import Stage, changes_of, read_record, state_of, write_record
from monai_semise.utils import printable

__all__ = ["StageProcess"]

LOG = "log.txt"
NOT_THE_ERROR = ("(Set MONAI_DEBUG", "RuntimeError: Failed to evaluate")
"""Starts of lines: our hint, and what MONAI wraps around the error of a config's part."""
TORCHRUN = re.compile(r"((LOCAL|GROUP|ROLE)_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)|TORCHELASTIC_.*")
"""Variables of torchrun, by which a stage would take itself for one of several processes."""


class StageProcess:
    """Runs stages as processes of their own, so that one that fails, or is killed, takes no other with it.

    Args:
        kept_open: file descriptors that the processes inherit.
    """

    def __init__(self, kept_open: Sequence[int] = ()) -> None:
        self.kept_open = tuple(kept_open)
        self.running: set[subprocess.Popen] = set()
        self.lock = threading.Lock()
        self.stopped = False

    def run(self, stage: Stage, environment: Mapping[str, str]) -> str:
        """Run a stage to its end; one that an earlier start began with the same plan goes on where it stopped.

        Args:
            stage: what to run.
            environment: variables to set besides those of this process.

        Returns:
            why it failed, in one line; empty when it did not.
        """
        if state_of(stage) == "new" and stage.folder.exists():
            changed = ", ".join(changes_of(stage)) or "its record cannot be read"
            logging.getLogger("monai_semise").info(f"{stage.folder}: removed, as it is of another plan ({changed})")
            shutil.rmtree(stage.folder)
        stage.folder.mkdir(parents=True, exist_ok=True)
        earlier_seconds = float(read_record(stage.folder).get("seconds", 0))
        write_record(stage, "started", seconds=earlier_seconds)
        start = time.monotonic()
        command = [sys.executable, *stage.command[1:]]
        with open(stage.folder / LOG, "ab") as log:
            earlier = log.tell()
            with self.lock:
                if self.stopped:
                    return "stopped"
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**_own_environment(), **environment},
                    pass_fds=self.kept_open,
                )
                self.running.add(process)
            try:
                status = process.wait()
            finally:
                with self.lock:
                    self.running.discard(process)
        if self.stopped:
            return "stopped"  # it stays "started", and goes on at the next start
        error = _error_of((stage.folder / LOG).read_bytes()[earlier:], status) if status else ""
        write_record(stage, "failed" if error else "finished", error, earlier_seconds + time.monotonic() - start)
        return error

    def stop(self) -> None:
        """End all running processes, and start no more."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                process.terminate()


def _own_environment() -> dict[str, str]:
    """Variables of this process, without those of torchrun."""
    return {name: value for name, value in os.environ.items() if not TORCHRUN.fullmatch(name)}


def _error_of(log: bytes, status: int) -> str:
    """The last line of a log that tells of an error, or its last line."""
    if status < 0:
        name = signal.Signals(-status).name
        return f"ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    lines = [line.strip() for line in re.split(r"[\r\n]+", log.decode(errors="replace"))]
    lines = [line for line in lines if line and not line.startswith(NOT_THE_ERROR)]
    last = next((line for line in reversed(lines) if re.match(r"([\w.]+)?(Error|Exception|Interrupt)\b", line)), None)
    return printable(last or (lines[-1] if lines else f"exit status {status}"))[:LONGEST]
