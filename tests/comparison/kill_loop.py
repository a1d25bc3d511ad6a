# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""Kill a process in mid-answer again and again: ``python kill_loop.py <file> <times>``.

A script of its own, with none of the package's imports but the store, because a fork of a process that has torch in it
costs more than all the rest.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2] / "monai_semise"


def import_store():
    """The module of the store, without what the packages around it import."""
    for name, folder in (("monai_semise", ROOT), ("monai_semise.comparison", ROOT / "comparison")):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder)]
    sys.modules["monai_semise.utils"] = ModuleType("monai_semise.utils")
    sys.modules["monai_semise.utils"].__path__ = [str(ROOT / "utils")]
    errors = importlib.import_module("monai_semise.utils.errors")
    sys.modules["monai_semise.utils"].__dict__.update(vars(errors))
    return importlib.import_module("monai_semise.comparison.answer_store")


def store_and_tell(module, path, first, acknowledged):
    """Store answers until killed, and tell of each that is acknowledged."""
    store = module.AnswerStore(path)
    for number in range(first, first + 100_000):
        store.add(module.Answer(f"id-{number}", "a", "b", "left", "dr x", "2026-01-31T09:00:00Z", 2.5))
        os.write(acknowledged, f"{number}\n".encode())


def main(path, times):
    module = import_store()
    first, kept = 0, []
    for _ in range(times):
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                store_and_tell(module, path, first, writing)
            finally:
                os._exit(1)
        os.close(writing)
        with os.fdopen(reading) as told:
            told.readline()  # at least one is through: kill it among the next
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            n_new = 1 + len(told.read().split())
        found = [one.id for one in module.read_answers(path)]
        assert found[: len(kept) + n_new] == kept + [f"id-{n}" for n in range(first, first + n_new)]
        assert len(found) <= len(kept) + n_new + 1  # the one that was being stored
        first, kept = first + len(found) - len(kept), found
        if len(kept) > 60:  # a short file keeps the test short
            path.unlink()
            first, kept = 0, []
    print(f"killed {times} times")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
