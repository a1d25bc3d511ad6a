# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import monai_semise
from monai_semise.apps.compare.digest import short_digest
from monai_semise.apps.compare.stage_configs import changes_results
from monai_semise.utils import write_json

__all__ = ["Stage", "adopt_run", "changes_of", "earlier_start", "read_record", "runs_of", "state_of", "write_record"]

RECORD = "stage.json"
SUMMARY = "summary.json"
PATHS = ("datalist", "output_dir", "encoder")
"""Settings that say where something lies. What lies there is told by what the stage is made of."""


class Stage(NamedTuple):
    r"""One training run of a comparison: a bundle, for one method, label budget and seed.

    Example:
        >>> stage = Stage("pretrain", "simclr", 0.25, 0, Path("out"), (Path("a.json"),), {"seed": "0"}, {}, "")
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
    made_of: Mapping[str, str]
    """Digests of what the settings do not tell: config files, data, the stage before."""
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
        """What must be the same for a finished run to stand: neither where files lie, nor what only makes it faster."""
        told = {name: value for name, value in self.settings.items() if name not in PATHS and changes_results(name)}
        return {"settings": told, **self.made_of}

    @property
    def paths(self) -> dict[str, str]:
        """What must be the same, too, for a run to go on: its checkpoints name them."""
        return {name: self.settings[name] for name in PATHS if name in self.settings}

    @property
    def digest(self) -> str:
        """The plan as one short text."""
        return short_digest(self.plan)


def runs_of(stages: Sequence[Stage]) -> list[list[Stage]]:
    """The stages of each run, in the order in which they were given: pretraining first."""
    runs: dict[tuple[str, float, int], list[Stage]] = {}
    for stage in stages:
        runs.setdefault((stage.method, stage.share, stage.seed), []).append(stage)
    return list(runs.values())


def state_of(stage: Stage) -> str:
    """``"finished"`` when an earlier start did all of it as planned now; ``"started"`` when it can be resumed, or
    failed; ``"new"`` when there is nothing, a run of another plan, or half a run of another version."""
    return _state(stage, read_record(stage.folder))


def changes_of(stage: Stage) -> list[str]:
    """What differs between an earlier run in the folder of a stage and the stage; nothing where there was none."""
    return _changes(stage, read_record(stage.folder))


def earlier_start(stages: Sequence[Stage]) -> list[str]:
    """What is to be known of finished runs that are replaced, or stay although another version made them, a sentence
    each."""
    records = [(stage, read_record(stage.folder)) for stage in stages if not stage.problem]
    finished = [
        (stage, record, _state(stage, record)) for stage, record in records if _is_finished(stage.folder, record)
    ]
    replaced = [(stage, record) for stage, record, state in finished if state == "new"]
    kept = [record.get("version") for _, record, state in finished if state == "finished"]
    versions = Counter(str(version) for version in kept if version != monai_semise.__version__)
    lines = []
    if replaced:
        changes = Counter(change for stage, record in replaced for change in _changes(stage, record))
        told = ", ".join(f"{change} ({number})" for change, number in changes.most_common())
        lines.append(
            f"Finished stages that are done anew, their folders replaced: {len(replaced)}. What changed, for how many: "
            f"{told}."
        )
    if versions:
        told = ", ".join(f"{number} of version {version}" for version, number in versions.items())
        lines.append(
            "Rows of different versions of monai_semise stand side by side. This is "
            f"{monai_semise.__version__}; of the finished stages are {told}. Name another --out to train all with this "
            "one."
        )
    return lines


def read_record(folder: Path) -> dict[str, Any]:
    """What is known of the run in a folder: plan, paths, version, state, error, seconds; nothing if there is none."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # killed by the file system, or edited: the run is done again
        return {}
    return record if isinstance(record, dict) else {}


def write_record(stage: Stage, state: str, error: str = "", seconds: float = 0.0) -> None:
    """Keep what is known of a run in its folder."""
    write_json(
        stage.folder / RECORD,
        {
            "plan": stage.plan,
            "paths": stage.paths,
            "version": monai_semise.__version__,
            "state": state,
            "error": error,
            "seconds": round(seconds, 1),
        },
    )


def adopt_run(stage: Stage, finished: Path) -> None:
    """Copy a finished run of the same plan to the folder of a stage, which then is finished, too."""
    record = read_record(finished)
    if stage.folder.exists():
        shutil.rmtree(stage.folder)
    # the record comes last: without it, what a kill leaves of the copy is a run to do anew
    shutil.copytree(finished, stage.folder, ignore=shutil.ignore_patterns(RECORD))
    write_json(stage.folder / RECORD, {**record, "paths": stage.paths})


def _state(stage: Stage, record: Mapping[str, Any]) -> str:
    if record.get("plan") != stage.plan:
        return "new"
    if _is_finished(stage.folder, record):
        return "finished"
    resumable = record.get("paths") == stage.paths and record.get("version") == monai_semise.__version__
    return "started" if resumable else "new"


def _changes(stage: Stage, record: Mapping[str, Any]) -> list[str]:
    if not record:
        return []
    before = record.get("plan")
    if not isinstance(before, dict) or not isinstance(before.get("settings"), dict):
        return ["record of another version of monai_semise"]
    now = stage.plan
    settings = sorted(_different(before["settings"], now["settings"]))
    parts = [part for part in _different(before, now) if part != "settings"]
    told = [*(f"setting {name}" for name in settings), *parts]
    if not _is_finished(stage.folder, record):
        told += [f"path {name}" for name in _different(record.get("paths", {}), stage.paths)]
        told += ["version"] if record.get("version") != monai_semise.__version__ else []
    return told


def _is_finished(folder: Path, record: Mapping[str, Any]) -> bool:
    return record.get("state") == "finished" and (folder / SUMMARY).is_file()


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Keys whose values are not the same."""
    return [key for key in {**before, **now} if before.get(key) != now.get(key)]
