# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import itertools
import json
import logging
import sys
import threading
import time

import pytest

from monai_semise.apps.compare.scheduler import run_stages
from monai_semise.apps.compare.stage import Stage, read_record, state_of
from monai_semise.apps.compare.stage_process import StageProcess


class Script(Stage):
    """A stage that is a few lines of Python instead of a bundle."""

    @property
    def command(self):
        return ["python", "-c", self.settings["code"]]


@pytest.fixture
def script(tmp_path):
    def make(code, kind="pretrain", method="a", seed=0, problem=""):
        folder = tmp_path / method / str(seed) / kind
        code = f"import os, sys, time, pathlib\nfolder = pathlib.Path({str(folder)!r})\n{code}"
        return Script(kind, method, 1.0, seed, folder, (), {"code": code}, {}, problem)

    return make


DONE = "(folder / 'summary.json').write_text('{}')"


def test_a_finished_stage_is_not_run_again(script):
    stage = script(f"open(folder / 'ran', 'a').write('x'); {DONE}")
    for _ in range(2):
        assert run_stages([stage], [{}], StageProcess()) == {}
        assert state_of(stage) == "finished"
    assert (stage.folder / "ran").read_text() == "x"


def test_a_stage_of_another_plan_starts_from_nothing_and_says_so(script, caplog):
    run_stages([script(f"(folder / 'old').touch(); {DONE}")], [{}], StageProcess())
    stage = script(f"print((folder / 'old').exists()); {DONE}")
    with caplog.at_level(logging.INFO, "monai_semise"):
        run_stages([stage], [{}], StageProcess())
    assert (stage.folder / "log.txt").read_text() == "False\n"
    assert f"{stage.folder}: removed, as it is of another plan (setting code)" in caplog.text


def test_a_started_one_goes_on(script):
    stage = script(f"new = not (folder / 'half').exists(); (folder / 'half').touch(); assert not new; {DONE}")
    assert "AssertionError" in run_stages([stage], [{}], StageProcess())[stage.folder]
    assert read_record(stage.folder)["state"] == "failed"
    assert run_stages([stage], [{}], StageProcess()) == {}


def test_half_a_run_of_another_version_starts_from_nothing(script, caplog, monkeypatch):
    stage = script(f"new = not (folder / 'half').exists(); (folder / 'half').touch(); assert not new; {DONE}")
    run_stages([stage], [{}], StageProcess())
    monkeypatch.setattr("monai_semise.__version__", "9.9")
    with caplog.at_level(logging.INFO, "monai_semise"):
        assert "AssertionError" in run_stages([stage], [{}], StageProcess())[stage.folder]
    assert "removed, as it is of another plan (version)" in caplog.text
    assert read_record(stage.folder)["version"] == "9.9"


def test_the_time_of_all_starts_is_kept(script):
    stage = script(
        f"new = not (folder / 'half').exists(); (folder / 'half').touch(); time.sleep(0.3); assert not new; {DONE}"
    )
    run_stages([stage], [{}], StageProcess())
    first = read_record(stage.folder)["seconds"]
    run_stages([stage], [{}], StageProcess())
    assert read_record(stage.folder)["seconds"] >= first + 0.3


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("print('Error: data: no'); print('(Set MONAI_DEBUG=1 to see)'); sys.exit(1)", "Error: data: no"),
        ("raise ValueError('so and\\nso')", "ValueError: so and"),
        (
            "try:\n    {}['why']\nexcept KeyError as e:\n    raise RuntimeError('Failed to evaluate') from e",
            "KeyError: 'why'",
        ),
        ("print('last words\\r\\x1b[31mred\\n'); sys.exit(3)", r"\x1b[31mred"),
        ("sys.exit(3)", "exit status 3"),
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL (out of memory?)"),
    ],
)
def test_why_it_failed(script, code, error):
    stage = script(code)
    assert run_stages([stage], [{}], StageProcess()) == {stage.folder: error}
    assert read_record(stage.folder)["error"] == error


def test_an_error_of_an_earlier_start_is_not_taken_for_the_last(script):
    stage = script(
        "new = not (folder / 'half').exists(); (folder / 'half').touch(); sys.exit('Error: 1' if new else 2)"
    )
    assert run_stages([stage], [{}], StageProcess())[stage.folder] == "Error: 1"
    assert run_stages([stage], [{}], StageProcess())[stage.folder] == "exit status 2"


def test_a_failure_stops_what_needs_it_and_nothing_else(script):
    bad = [script("sys.exit('Error: no')"), script(DONE, "classification"), script(DONE, "segmentation")]
    half = [
        script(DONE, method="b"),
        script("sys.exit('Error: head')", "classification", "b"),
        script(DONE, "segmentation", "b"),
    ]
    never = [
        script(DONE, method="c", problem="no such part"),
        script(DONE, "classification", "c", problem="no such part"),
    ]
    failures = run_stages([*bad, *half, *never], [{}, {}], StageProcess())
    assert [failures.get(stage.folder) for stage in (*bad, *half, *never)] == [
        "Error: no",
        "pretrain: Error: no",
        "pretrain: Error: no",
        None,
        "Error: head",
        None,
        "no such part",
        "no such part",
    ]
    assert not (bad[1].folder / "summary.json").exists()
    assert state_of(half[2]) == "finished"
    assert not never[0].folder.exists()


def test_each_slot_is_used_and_by_one_run_at_a_time(script):
    code = f"time.sleep(0.4); print(os.environ['SLOT'], time.time()); {DONE}"
    stages = [script(code, seed=seed) for seed in range(4)]
    assert run_stages(stages, [{"SLOT": "0"}, {"SLOT": "1"}], StageProcess()) == {}
    told = [(stage.folder / "log.txt").read_text().split() for stage in stages]
    assert {slot for slot, _ in told} == {"0", "1"}
    for slot in "01":
        ends = sorted(float(end) for own, end in told if own == slot)
        assert all(later - earlier > 0.35 for earlier, later in itertools.pairwise(ends))


def test_a_stage_does_not_take_itself_for_a_process_of_torchrun(script, monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MASTER", "kept")
    stage = script(f"print(*sorted(n for n in os.environ if 'RANK' in n or 'WORLD' in n or 'ASTE' in n)); {DONE}")
    assert run_stages([stage], [{}], StageProcess()) == {}
    assert (stage.folder / "log.txt").read_text() == "MASTER\n"


def test_stop_ends_what_runs_and_leaves_it_to_be_resumed(script):
    stage = script("(folder / 'on').touch(); time.sleep(60)")
    processes = StageProcess()
    ended = []
    thread = threading.Thread(target=lambda: ended.append(processes.run(stage, {})))
    thread.start()
    for _ in range(200):
        if (stage.folder / "on").exists():
            break
        time.sleep(0.05)
    processes.stop()
    thread.join(timeout=20)
    assert ended == ["stopped"]
    assert state_of(stage) == "started"
    assert processes.run(stage, {}) == "stopped"


def test_the_command_is_as_a_user_would_type_it(tmp_path):
    stage = Stage("pretrain", "m", 1.0, 0, tmp_path, (tmp_path / "a b.json",), {"x": "[1, 2]"}, {}, "")
    assert stage.command[0] == "python" != sys.executable
    assert json.loads(stage.command[5]) == [str(tmp_path / "a b.json")]
    assert stage.command[6:] == ["--x", "[1, 2]"]
