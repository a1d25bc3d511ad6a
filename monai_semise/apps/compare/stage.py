# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from monai_semise.utils import write_json

__all__ = ["Stage", "read_record", "state_of", "write_record"]

RECORD = "stage.json"
SUMMARY = "summary.json"


class Stage(NamedTuple):
    r"""One training run of a comparison: a bundle, for one method, label budget and seed.

    Example:
        >>> stage = Stage("pretrain", "simclr", 0.25, 0, Path("out"), (Path("a.json"),), {"seed": "0"}, "", "")
        >>> print(stage.title, " ".join(stage.command[3:]), sep="\n")
        simclr, 25 % of labels, seed 0: pretrain
        run --config_file ["a.json"] --seed 0
    """

    kind: str
    """A key of :data:`monai_semise.apps.compare.stage_configs.STAGES`."""
    method: str
    share: float
    """Of the training patients that keep their labels, in (0, 1]."""
    seed: int
    folder: Path
    """Where the run goes."""
    files: tuple[Path, ...]
    """Bundle and overlays."""
    settings: Mapping[str, str]
    """Options of the run."""
    made_of: str
    """Digest of what the settings do not tell: content of config files and datalist, and the stage before."""
    problem: str
    """Why the stage cannot run; empty when it can."""

    @property
    def command(self) -> list[str]:
        """The command line, as a user would type it."""
        listed = json.dumps([file.as_posix() for file in self.files])
        options = [part for name, value in self.settings.items() for part in (f"--{name}", value)]
        return ["python", "-m", "monai.bundle", "run", "--config_file", listed, *options]

    @property
    def title(self) -> str:
        """What to call the stage when talking of it."""
        return f"{self.method}, {100 * self.share:g} % of labels, seed {self.seed}: {self.kind}"

    @property
    def plan(self) -> dict[str, Any]:
        """What must be the same for a finished run to stand."""
        return {"command": self.command, "made_of": self.made_of}

    @property
    def digest(self) -> str:
        """The plan as one short text."""
        return hashlib.sha256(json.dumps(self.plan).encode()).hexdigest()[:16]


def state_of(stage: Stage) -> str:
    """``"finished"`` when an earlier start did all of it as planned now; ``"started"`` when it can be resumed, or
    failed; ``"new"`` when there is nothing, or a run of another plan."""
    record = read_record(stage.folder)
    if record.get("plan") != stage.plan:
        return "new"
    return "finished" if record.get("state") == "finished" and (stage.folder / SUMMARY).is_file() else "started"


def read_record(folder: Path) -> dict[str, Any]:
    """What is known of the run in a folder: plan, state, error, seconds; nothing where there is none."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # killed by the file system, or edited: the run is done again
        return {}
    return record if isinstance(record, dict) else {}


def write_record(stage: Stage, state: str, error: str = "", seconds: float = 0.0) -> None:
    """Keep what is known of a run in its folder."""
    write_json(
        stage.folder / RECORD, {"plan": stage.plan, "state": state, "error": error, "seconds": round(seconds, 1)}
    )
