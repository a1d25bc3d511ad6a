# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_semise.comparison import AnswerStore, StorageError, read_answers
from monai_semise.utils import InputError
from tests.comparison import kill_loop
from tests.comparison.data import answer
from tests.utils.limits import disk_of


@pytest.fixture
def path():
    """In memory where that can be, since each answer waits for the disk."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder) / "answers.jsonl"


def test_answers_come_back_in_order(path):
    with AnswerStore(path) as store:
        for n in range(5):
            assert store.add(answer(n))
    assert [found.id for found in read_answers(path)] == [f"id-{n}" for n in range(5)]
    with AnswerStore(path) as store:
        assert store.answers == [answer(n) for n in range(5)] == read_answers(path)


def test_an_answer_sent_twice_is_stored_once_also_by_the_next_server(path):
    with AnswerStore(path) as store:
        assert store.add(answer(1))
        assert not store.add(answer(1)._replace(time="later", seconds=9.0))
    with AnswerStore(path) as store:
        assert not store.add(answer(1))
        with pytest.raises(InputError, match="id: 'id-1' is that of another answer"):
            store.add(answer(1, outcome="right"))
        assert store.answers == [answer(1)]
    assert len(path.read_text().splitlines()) == 1


def test_undo_is_a_record_and_leaves_the_answer_in_the_file(path):
    with AnswerStore(path) as store:
        store.add(answer(1))
        store.add(answer(2))
        assert store.undo("undo-1", answer(1), "now")
        assert not store.undo("undo-1", answer(1), "later")
        assert store.answers == [answer(2)] == read_answers(path)
        assert store.undone_by("undo-1") == answer(1)
        assert not store.add(answer(1))  # a copy that comes late does not bring it back
        assert store.answers == [answer(2)]
        with pytest.raises(InputError, match="another answer"):
            store.undo("id-2", answer(2), "now")
        with pytest.raises(InputError, match="is that of an answer"):
            store.undone_by("id-2")
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["id-1", "id-2", "undo-1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": "both"}, "outcome: 'both' is none of left, right, equal, cannot_tell"),
        ({"rater": "  "}, "rater: '  ' is not a line of 1 to 100"),
        ({"rater": "x\ny"}, "rater: .* is not a line"),
        ({"rater": "x" * 101}, "rater: 'x{100}' is not a line"),
        ({"rater": "\ud800"}, "rater: .* printable"),
        ({"id": ""}, "id: '' is not a line"),
        ({"image_b": "a"}, "image_b: 'a' is compared with itself"),
        ({"seconds": float("nan")}, "seconds: nan is not a number of at least 0"),
        ({"seconds": -1.0}, "seconds: -1.0 is not a number"),
    ],
)
def test_what_is_no_answer_is_not_stored(path, change, message):
    with AnswerStore(path) as store:
        with pytest.raises(InputError, match=message):
            store.add(answer(1)._replace(**change))
        assert store.answers == []
    assert path.read_bytes() == b""


def test_any_text_survives(path):
    strange = answer(1, image_a="../é\n\u2028", image_b="<script>\0", rater="Ängström “x” </script>")
    with AnswerStore(path) as store:
        store.add(strange)
    assert read_answers(path) == [strange]


# ---------------------------------------------------------------- torn files

WHOLE = [answer(n, outcome=outcome) for n, outcome in enumerate(["left", "right", "equal", "cannot_tell"])]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "answers.jsonl"
    with AnswerStore(path) as store:
        for one in WHOLE:
            store.add(one)
        store.undo("undo", WHOLE[1], "now")
    return path.read_bytes()


@given(data=st.data())
def test_a_file_cut_anywhere_keeps_every_whole_record_and_can_be_continued(recorded, path, data):
    cut = data.draw(st.integers(0, len(recorded)))
    some = [b"", b"\0\0\0", b'{"id": ', b"\xff"] if b"\n" in recorded[:cut] else [b"", b"\0\0\0"]
    rubbish = data.draw(st.sampled_from(some)) if cut < len(recorded) else b""
    path.write_bytes(recorded[:cut] + rubbish)
    lines = recorded.splitlines()
    n_whole = recorded[:cut].count(b"\n") + (path.read_bytes().split(b"\n")[-1] in lines)
    before = read_answers(path)
    assert before == (WHOLE[:n_whole] if n_whole < len(lines) else [WHOLE[0], *WHOLE[2:]])
    with AnswerStore(path) as store:
        assert store.answers == before
        store.add(answer(99))
    assert read_answers(path) == [*before, answer(99)]


def test_a_last_line_without_its_end_is_kept_when_it_is_whole(recorded, path):
    path.write_bytes(recorded.splitlines()[0])
    with AnswerStore(path) as store:
        assert store.answers == WHOLE[:1]
        store.add(answer(99))
    assert read_answers(path) == [WHOLE[0], answer(99)]


@pytest.mark.parametrize("damage", [b"{}", b"[1]", b"nonsense", b"", b'{"id": "x"}', b"\xff", b"[" * 5000])
def test_damage_in_the_middle_is_an_error_that_names_the_line(recorded, path, damage):
    lines = recorded.splitlines()
    content = b"\n".join([lines[0], damage, *lines[1:]]) + b"\n"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"answers\.jsonl, line 2: .* is no answer"):
        AnswerStore(path)
    with pytest.raises(InputError, match="line 2"):
        read_answers(path)
    assert path.read_bytes() == content  # left for a person to look at, and free for the next try
    path.write_bytes(recorded)
    AnswerStore(path).close()


@pytest.mark.parametrize("content", [b'{"training": []}', b"id,outcome", b"[1, 2]", b'{"id": 7}'])
def test_a_file_of_something_else_is_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no answer; name another file"):
        AnswerStore(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("rest", [b"{", b'{"id": "x', b"\0\0\0"])
def test_what_a_power_failure_leaves_is_taken_off(path, rest):
    path.write_bytes(rest)
    AnswerStore(path).close()
    assert path.read_bytes() == b""


def test_no_such_file(path):
    with pytest.raises(InputError, match=r"answers\.jsonl: cannot be read \(No such file"):
        read_answers(path)


# ---------------------------------------------------------------- crash, full disk, two servers


def in_another_process(act, *arguments):
    """Run ``act(*arguments)`` in a copy of this process, which begins at once; its number."""
    process = os.fork()
    if process == 0:
        try:
            act(*arguments)
        finally:
            os._exit(1)
    return process


def test_killed_1000_times_no_acknowledged_answer_is_lost_or_doubled(path):
    command = [sys.executable, kill_loop.__file__, str(path), "1000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("killed 1000 times\n", "")


def test_full_disk(path):
    with AnswerStore(path) as store:
        store.add(answer(1))
        with (
            disk_of(path.stat().st_size + 20),
            pytest.raises(StorageError, match=r"answers\.jsonl: not stored .* again"),
        ):
            store.add(answer(2))
        assert store.answers == [answer(1)] == read_answers(path)
        assert store.add(answer(2))
        assert store.answers == [answer(1), answer(2)] == read_answers(path)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of 16 kB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(tmp_path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a disk")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_disk_that_fills_up(small_disk):
    path = small_disk / "answers.jsonl"
    stored = []
    with AnswerStore(path) as store:
        with pytest.raises(StorageError, match=r"not stored \(No space left on device\); make room"):
            stored.extend(answer(n) for n in range(200) if store.add(answer(n)))
        assert len(stored) > 20
        assert store.answers == stored == read_answers(path)
    with AnswerStore(path) as store:  # a restart finds no room either, and no torn line
        assert store.answers == stored
    assert read_answers(path) == stored


def test_a_server_that_dies_on_a_full_disk_leaves_what_was_acknowledged(path):
    one_line = len(json.dumps(answer(1)._asdict())) + 1
    with AnswerStore(path) as store, disk_of(2 * one_line + 10):
        store.add(answer(1))
        store.add(answer(2))
        with pytest.raises(StorageError):
            store.add(answer(3))
    assert path.stat().st_size == 2 * one_line + 10  # torn in the middle of a line
    with AnswerStore(path) as store:
        assert store.answers == [answer(1), answer(2)]
        assert store.add(answer(3))


def hold(path, ready):
    store = AnswerStore(path)
    os.write(ready, b"x")
    signal.pause()
    store.close()


def test_two_servers_on_one_store(path):
    reading, writing = os.pipe()
    process = in_another_process(hold, path, writing)
    os.read(reading, 1)
    try:
        with pytest.raises(InputError, match=r"answers\.jsonl: another server has these answers open; stop it"):
            AnswerStore(path)
        assert read_answers(path) == []
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    AnswerStore(path).close()  # free although the other was killed


def test_two_stores_in_one_process(path):
    with AnswerStore(path), pytest.raises(InputError, match="another server"):
        AnswerStore(path)
    AnswerStore(path).close()


def test_closed_from_another_thread(path):
    store = AnswerStore(path)
    thread = threading.Thread(target=store.close)
    thread.start()
    thread.join()
    AnswerStore(path).close()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be opened for answers"):
        AnswerStore(tmp_path / "file" / "answers.jsonl")
