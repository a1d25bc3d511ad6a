# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
import pickle
import stat
import tempfile
from pathlib import Path

import pytest
import torch

from monai_semise.utils import (
    InputError,
    ensure_writable,
    load_checkpoint,
    save_checkpoint,
    write_json,
    write_whole,
)
from tests.utils.limits import disk_of, ordinary_user

# ---------------------------------------------------------------- write_whole


@pytest.mark.parametrize(("mode", "content"), [("w", "läsion\r\n\n"), ("wb", b"\x00\xff\r\n")])
def test_content(tmp_path, mode, content):
    path = tmp_path / "new" / "folder" / "a.txt"
    with write_whole(path, mode) as stream:
        stream.write(content)
        assert not path.exists()
    assert path.read_bytes() == (content.encode("utf-8") if mode == "w" else content)
    assert os.listdir(path.parent) == ["a.txt"]


def test_old_content_is_replaced(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("a long old content")
    with write_whole(path) as stream:
        stream.write("new")
        stream.flush()
        assert path.read_text() == "a long old content"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("old", ["old", None])
def test_exception_leaves_what_was_there(tmp_path, error, old):
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)

    def write():
        with write_whole(path) as stream:
            stream.write("new" * 100_000)
            raise error

    with pytest.raises(type(error)):
        write()
    assert os.listdir(tmp_path) == ([] if old is None else ["a.txt"])
    assert old is None or path.read_text() == old


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_honour_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "a.json", {})
    finally:
        assert os.umask(before) == umask
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o666 & ~umask


def test_target_is_a_folder(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_json(tmp_path / "a", {})
    assert os.listdir(tmp_path) == ["a"]


# ---------------------------------------------------------------- a full disk


def test_full_disk_leaves_the_old_text(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with disk_of(1 << 20), pytest.raises(OSError, match="too large"):
        write_json(path, ["x" * 1000] * 2000)
    assert json.loads(path.read_text()) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_full_disk_at_the_last_flush_leaves_the_old_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write():
        with write_whole(path, "wb") as stream:
            stream.write(b"x" * ((1 << 20) - 10))
            stream.write(b"x" * 100)  # stays in the buffer until the block ends

    with disk_of(1 << 20), pytest.raises(OSError, match="too large"):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_full_disk_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"step": 1})
    with disk_of(1 << 20), pytest.raises((OSError, RuntimeError)):
        save_checkpoint(path, {"weight": torch.zeros(1 << 20)})
    assert load_checkpoint(path) == {"step": 1}
    assert os.listdir(tmp_path) == ["a.pt"]


# ---------------------------------------------------------------- JSON and checkpoints


def test_json(tmp_path):
    content = {"a": [1, 2.5, None, "ü"], "b": {"c": True}}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert text.startswith('{\n  "a"')
    assert text.endswith("}\n")


def test_what_json_cannot_hold_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "a.json", {"new": 1, "tensor": torch.zeros(1)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}


def test_checkpoint_round_trip(tmp_path):
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.rand(4, 3)).sum().backward()
    optimizer.step()
    content = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "best": None,
        "tau": 0.5,
    }
    save_checkpoint(tmp_path / "a.pt", content)
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert (loaded["epoch"], loaded["best"], loaded["tau"]) == (3, None, 0.5)
    assert all(torch.equal(loaded["network"][name], value) for name, value in network.state_dict().items())
    assert torch.equal(
        loaded["optimizer"]["state"][0]["momentum_buffer"], optimizer.state_dict()["state"][0]["momentum_buffer"]
    )


def test_map_location(tmp_path):
    save_checkpoint(tmp_path / "a.pt", {"weight": torch.ones(2)})
    assert load_checkpoint(tmp_path / "a.pt", map_location="meta")["weight"].device.type == "meta"


class Payload:
    """Unpickling it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_pickled_object_is_refused(tmp_path, save):
    path, made = tmp_path / "a.pt", tmp_path / "made"
    save({"weight": torch.ones(2), "object": Payload(made)}, path)
    with pytest.raises(
        InputError, match=r"checkpoint .*a\.pt: cannot be loaded with weights_only=True \(.+\)"
    ) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not made.exists()


def test_missing_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"checkpoint .*a\.pt: no such file"):
        load_checkpoint(tmp_path / "a.pt")
    with pytest.raises(InputError, match="no such file"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_damaged_checkpoint(tmp_path, part):
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"weight": torch.ones(1000)})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InputError, match=r"checkpoint .*a\.pt: cannot be loaded"):
        load_checkpoint(path)


def test_text_as_checkpoint(tmp_path):
    (tmp_path / "a.pt").write_text("no checkpoint")
    with pytest.raises(InputError, match=r"checkpoint .*a\.pt: cannot be loaded"):
        load_checkpoint(tmp_path / "a.pt")


# ---------------------------------------------------------------- ensure_writable


def test_folder_is_made_and_left_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ensure_writable("runs/first") == tmp_path / "runs" / "first"
    assert os.listdir(tmp_path / "runs" / "first") == []
    assert ensure_writable(tmp_path / "runs" / "first") == tmp_path / "runs" / "first"


@pytest.mark.parametrize("below", ["", "run", "run/deeper"])
def test_a_file_is_in_the_way(tmp_path, below):
    (tmp_path / "file").write_text("content")
    with pytest.raises(InputError, match=r"output_dir: cannot write to .*file.* \(.+\); free it, or name another"):
        ensure_writable(tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "content"


def test_the_option_is_named_as_the_user_gave_it(tmp_path):
    (tmp_path / "file").write_text("content")
    with pytest.raises(
        InputError, match=r"^out: cannot write to .*file.*; free it, or name another folder with --out$"
    ):
        ensure_writable(tmp_path / "file", option="--out")


@pytest.mark.parametrize("below", ["", "run"])
def test_read_only_folder(below):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        with ordinary_user(), pytest.raises(InputError, match=r"output_dir: .* \(Permission denied\); free it"):
            ensure_writable(Path(folder) / below)
        assert os.listdir(folder) == []
        os.chmod(folder, 0o755)
