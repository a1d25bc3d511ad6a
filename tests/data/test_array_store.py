# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import threading
from contextlib import suppress

import numpy as np
import pytest

from monai_semise.data import array_store
from monai_semise.data.array_store import ArrayStore
from monai_semise.utils import InputError

FORK = multiprocessing.get_context("fork")
SETTINGS = {"dtype": "uint16", "transform": {"size": [4, 3]}}
SHAPES = {"image": ((1, 4, 3), np.uint16), "mask": ((2, 4), np.uint8)}


def row(n):
    """Arrays that tell their number."""
    return {key: np.full(shape, n + 1, dtype=dtype) for key, (shape, dtype) in SHAPES.items()}


def source(folder, n):
    return [str(folder.parent / "images" / f"{n}.png"), str(folder.parent / "masks" / f"{n}.png")]


def store_in(folder, **settings):
    return ArrayStore(folder, tuple(SHAPES), {**SETTINGS, **settings})


def add(folder, numbers, stamp="1"):
    store = store_in(folder)
    with store.lock(), store.writer(row(0)) as writer:
        for n in numbers:
            writer.add(source(folder, n), [stamp, stamp], row(n))
    return store


def index_of(store):
    """The entry that counts of each tuple of files."""
    return {entry.files: entry for entry in store.entries()}


def add_missing(folder, numbers):
    """What a resumed run does."""
    store = store_in(folder)
    present = index_of(store)
    add(folder, [n for n in numbers if store.relative(source(folder, n)) not in present])
    return store


def content(folder):
    """Files by name, but for the lock and what a killed process began to write."""
    files = [file for file in folder.iterdir() if file.name != "lock" and file.suffix != ".part"]
    return {file.name: file.read_bytes() for file in files}


def assert_whole(folder, numbers):
    """The folder holds exactly these rows, by the index and by numpy."""
    store = store_in(folder)
    index, arrays = index_of(store), store.arrays()
    assert set(index) == {store.relative(source(folder, n)) for n in numbers}
    for n in numbers:
        for key, array in arrays.items():
            assert np.array_equal(array[index[store.relative(source(folder, n))].row], row(n)[key])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "store"


def test_rows_are_plain_numpy_files(folder):
    add(folder, range(5))
    assert_whole(folder, range(5))
    for key, (shape, dtype) in SHAPES.items():
        array = np.load(folder / f"{key}.npy", mmap_mode="r")
        assert array.shape == (5, *shape)
        assert array.dtype == dtype
        assert array.max(axis=tuple(range(1, array.ndim))).tolist() == [1, 2, 3, 4, 5]


def test_rows_can_be_added_later_even_when_their_number_gets_longer(folder):
    for start, stop in ((0, 1), (1, 9), (9, 10), (10, 101)):
        add(folder, range(start, stop))
        assert_whole(folder, range(stop))
        assert len(np.load(folder / "image.npy", mmap_mode="r")) == stop


def test_adding_in_parts_gives_the_same_bytes(folder, tmp_path):
    add(folder, range(12))
    for numbers in (range(5), range(5, 6), range(6, 12)):
        add(tmp_path / "parts", numbers)
    assert content(tmp_path / "parts") == content(folder)


def test_maps_stay_valid_while_rows_are_added(folder):
    before = add(folder, range(3)).arrays()
    add(folder, range(3, 200))
    assert np.array_equal(before["image"][2], row(2)["image"])
    assert not before["image"].flags.writeable


def test_the_last_line_of_a_file_counts(folder):
    add(folder, range(3), stamp="old")
    store = add(folder, [1], stamp="new")
    entries = index_of(store)
    assert [entries[store.relative(source(folder, n))].row for n in range(3)] == [0, 3, 2]
    assert entries[store.relative(source(folder, 1))].stamps == ("new", "new")
    add(folder, [3])
    assert_whole(folder, range(4))
    assert len(store.arrays()["image"]) == 5


def test_index_names_files_relative_to_the_folder_and_nothing_else(folder):
    add(folder, [7])
    line = json.loads((folder / "index.jsonl").read_text())
    assert line == {"row": 0, "files": ["../images/7.png", "../masks/7.png"], "stamps": ["1", "1"]}


@pytest.mark.parametrize("name", ["grün.png", "line\nbreak.png", 'quote".png', os.fsdecode(b"\xff.png")])
def test_any_file_name(folder, name):
    store = store_in(folder)
    files = [str(folder / name), ""]
    with store.lock(), store.writer(row(0)) as writer:
        writer.add(files, ["1", ""], row(0))
    assert list(store.entries()) == [(0, (f"./{name}", ""), ("1", ""))]
    assert list(index_of(store)) == [store.relative(files)]


def test_an_empty_store(folder):
    store = store_in(folder)
    assert list(store.entries()) == []
    assert not folder.exists()
    with pytest.raises(InputError, match=r"image\.npy: cannot be read"):
        store.arrays()


# ---------------------------------------------------------------- killed


def run_and_die(folder, numbers, operation, each_row=True):
    """Add rows in a process that dies in its n-th writing operation, half of which it still does.

    Returns:
        whether it died.
    """

    def child():
        left = operation

        def dying(do, half):
            def wrapped(*args, **kwargs):
                nonlocal left
                left -= 1
                if left == 0:
                    half(*args, **kwargs)
                    os.kill(os.getpid(), signal.SIGKILL)
                return do(*args, **kwargs)

            return wrapped

        write, sync, flushed = array_store._write, os.fsync, array_store._Column._write_header
        array_store._write = dying(write, lambda stream, data: stream.write(data[: len(data) // 2]))
        os.fsync = dying(sync, lambda file: None)
        array_store._Column._write_header = dying(flushed, lambda *args, **kwargs: None)
        array_store.FLUSH_SECONDS = -1 if each_row else 60
        add_missing(folder, numbers)

    process = FORK.Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.parametrize(
    ("each_row", "operations"), [(True, 25), (False, 20)], ids=["flush each row", "flush at the end"]
)
def test_killed_at_every_write_it_can_be_used_and_resumed(folder, tmp_path, each_row, operations):
    numbers = range(2)
    add(folder, numbers)
    expected = content(folder)
    for operation in range(1, 100):
        killed = tmp_path / f"killed{operation}"
        if not run_and_die(killed, numbers, operation, each_row):
            break
        store = store_in(killed)
        if index_of(store):
            finished = [n for n in numbers if store.relative(source(killed, n)) in index_of(store)]
            assert_whole(killed, finished)
        add_missing(killed, numbers)
        assert content(killed) == expected, operation
    assert operation > operations  # else some were not met


def test_killed_again_and_again(folder, tmp_path):
    numbers = range(4)
    add(folder, numbers)
    for operation in (5, 9, 17, 12):
        run_and_die(tmp_path / "killed", numbers, operation)
    add_missing(tmp_path / "killed", numbers)
    assert content(tmp_path / "killed") == content(folder)


@pytest.mark.parametrize("cut", [1, 10])
def test_last_line_cut_short(folder, cut):
    add(folder, range(4))
    expected = content(folder)
    index = folder / "index.jsonl"
    index.write_bytes(index.read_bytes()[:-cut])
    assert len(index_of(store_in(folder))) == 3
    assert_whole(folder, range(3))
    add_missing(folder, range(4))
    assert content(folder) == expected


def test_an_exception_in_between_keeps_the_rows(folder):
    store = store_in(folder)
    with pytest.raises(KeyboardInterrupt), store.lock(), store.writer(row(0)) as writer:  # noqa: PT012
        writer.add(source(folder, 0), ["1", "1"], row(0))
        raise KeyboardInterrupt
    assert_whole(folder, [0])


# ---------------------------------------------------------------- disk full


def big(n):
    return {"image": np.full((1, 64, 1024), n + 1, dtype=np.uint16)}


def add_big(folder, count):
    store = ArrayStore(folder, ["image"], SETTINGS)
    done = len(index_of(store))
    with store.lock(), store.writer(big(0)) as writer:
        for n in range(done, count):
            writer.add([str(folder.parent / f"{n}.png")], ["1"], big(n))


def check_big(folder, count):
    store = ArrayStore(folder, ["image"], SETTINGS)
    assert sorted(entry.row for entry in index_of(store).values()) == list(range(count))
    assert [int(array.min()) for array in store.arrays()["image"]] == [n + 1 for n in range(count)]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=False).returncode:
        pytest.skip("may not mount a file system")
    yield path
    subprocess.run(["umount", path], check=True)


def test_full_disk_says_so_and_keeps_what_there_is(small_disk):
    folder = small_disk / "store"
    message = (
        r"store: cannot be written \(No space left on device\); 7 more images were prepared and are kept; make room"
    )
    with pytest.raises(InputError, match=message):
        add_big(folder, 20)  # of 128 KiB each
    check_big(folder, 7)
    with pytest.raises(InputError, match=r"No space left on device\); make room"):
        add_big(folder, 20)
    check_big(folder, 7)
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    add_big(folder, 20)
    check_big(folder, 20)


def test_full_to_the_last_byte_keeps_what_there_is(small_disk):
    folder = small_disk / "store"
    add_big(folder, 3)
    with open(small_disk / "ballast", "wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(4096))
    with pytest.raises(InputError, match="No space left on device"):
        add_big(folder, 20)
    check_big(folder, 3)
    (small_disk / "ballast").unlink()
    add_big(folder, 5)
    check_big(folder, 5)


def test_limit_on_file_size(folder):
    """As on a full disk, but for who may not mount one."""

    def child(results):
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, resource.RLIM_INFINITY))
        try:
            add_big(folder, 20)
        except InputError as error:
            results.put(str(error))

    results = FORK.SimpleQueue()
    process = FORK.Process(target=child, args=[results])
    process.start()
    assert "cannot be written (File too large); 7 more images were prepared and are kept" in results.get()
    process.join(60)
    check_big(folder, 7)
    add_big(folder, 20)
    check_big(folder, 20)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"store: cannot be written \(Not a directory\)"):
        add(tmp_path / "file" / "store", [0])


# ---------------------------------------------------------------- what does not belong


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"dtype": "uint8"}, "dtype = uint16 (now uint8)"),
        ({"transform": {"size": [4, 8]}}, "transform.size.1 = 3 (now 8)"),
        ({"transform": {"size": [4]}}, "transform.size.1 = 3 (now absent)"),
        ({"transform": {"size": [4, 3], "mode": None}}, "transform.mode = absent (now None)"),
        ({"transform": []}, "transform.size.1 = 3 (now absent)"),
    ],
)
def test_other_settings(folder, settings, found):
    add(folder, [0])
    before = content(folder)
    with pytest.raises(InputError) as raised:
        store_in(folder, **settings)
    assert f"{folder}: was prepared with " in str(raised.value)
    assert found in str(raised.value)
    assert "name another folder" in str(raised.value)
    assert content(folder) == before


def test_many_differences_are_counted(folder):
    add(folder, [0])
    with pytest.raises(InputError, match="and 3 more differences"):
        store_in(folder, **dict.fromkeys("abcdef", 1))


def test_other_keys(folder):
    add(folder, [0])
    with pytest.raises(InputError, match=r"keys\.1 = mask \(now absent\)"):
        ArrayStore(folder, ["image"], SETTINGS)


def test_other_settings_of_the_process_that_was_first(folder):
    store = store_in(folder, dtype="uint8")
    add(folder, [0])
    with pytest.raises(InputError, match=r"dtype = uint16 \(now uint8\)"), store.lock():
        pass


def test_other_shape(folder):
    add(folder, [0])
    store = store_in(folder)
    other = {**row(0), "mask": np.zeros((2, 5), dtype=np.uint8)}
    message = r"mask\.npy: holds uint8 arrays of shape \(2, 4\), and now they are uint8 of shape \(2, 5\); name another"
    with pytest.raises(InputError, match=message), store.lock(), store.writer(other):
        pass
    assert_whole(folder, [0])


def test_foreign_array_is_not_overwritten(folder):
    folder.mkdir()
    np.save(folder / "image.npy", np.arange(3))
    with pytest.raises(InputError, match=r"holds image\.npy but no settings\.json, so it is no folder of prepared"):
        store_in(folder)
    assert np.load(folder / "image.npy").tolist() == [0, 1, 2]


@pytest.mark.parametrize("line", ["{}", "nonsense", '{"row": 1, "files": 3, "stamps": []}', "[]", ""])
def test_damaged_index(folder, line):
    add(folder, range(2))
    with open(folder / "index.jsonl", "a") as stream:
        stream.write(f"{line}\n")
    with pytest.raises(InputError, match=r"index\.jsonl: line 3 is damaged; delete"):
        index_of(store_in(folder))


@pytest.mark.parametrize("damage", ["empty", "other", "short", "fewer rows", "missing"])
def test_damaged_array(folder, damage, tmp_path):
    store = add(folder, range(2))
    add(tmp_path / "fewer", [0])
    path = folder / "image.npy"
    whole = path.read_bytes()
    contents = {
        "empty": b"",
        "other": b"nothing of numpy's",
        "short": whole[:-1],
        "fewer rows": (tmp_path / "fewer" / "image.npy").read_bytes(),
    }
    path.unlink()
    if damage in contents:
        path.write_bytes(contents[damage])
    if damage != "fewer rows":
        with pytest.raises(InputError, match=r"image\.npy: cannot be read"):
            store.arrays()
    with pytest.raises(InputError, match=r"image\.npy: is (damaged \(.+\)|missing); delete"):
        add(folder, [2])
    assert len(index_of(store)) == 2


def test_damaged_settings(folder):
    add(folder, [0])
    (folder / "settings.json").write_text("{")
    with pytest.raises(InputError, match=r"settings\.json: cannot be read"):
        store_in(folder)


# ---------------------------------------------------------------- several processes


def test_the_second_waits_for_the_first(folder):
    first, second = store_in(folder), store_in(folder)
    order = []

    def wait():
        with second.lock():
            order.append("second")

    with first.lock():
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
