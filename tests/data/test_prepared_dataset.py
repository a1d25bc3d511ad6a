# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import time

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader
from monai.transforms import (
    CastToTyped,
    Compose,
    DeleteItemsd,
    EnsureTyped,
    Lambdad,
    RandFlipd,
    RandGaussianNoised,
    Resized,
    ScaleIntensityd,
    SelectItemsd,
)
from PIL import Image

from monai_semise.data import (
    GradeBalancedBatchSampler,
    PairDataset,
    PreferencePair,
    PreparedDataset,
    TwoViewDataset,
    array_store,
    load_datalist,
)
from monai_semise.engines import PrepareSeverityBatch
from monai_semise.transforms import LoadCheckedImaged
from monai_semise.utils import InputError

FORK = multiprocessing.get_context("fork")
STEP = {"uint8": 1 / 255, "uint16": 1 / 65535, "float16": 2**-11, "float32": 0}
FIELDS = ["image", "image_path", "severity", "index"]


def preprocessing(size=24, spatial_dims=2, fields=FIELDS, **load):
    """As that of the bundle."""
    steps = [
        LoadCheckedImaged("image", channels=1, spatial_dims=spatial_dims, **load),
        Resized("image", [size] * spatial_dims, anti_aliasing=True),
        ScaleIntensityd("image"),
        EnsureTyped("image", track_meta=False),
    ]
    return Compose([*steps, SelectItemsd(fields)] if fields else steps)


def double(image):
    return (2 * image).clamp(0, 1)


class CountedLoad:
    """Reads grey images with Pillow, notes each call in a file, and takes its time."""

    def __init__(self, log, seconds=0.0):
        self.log = str(log)
        self.seconds = seconds

    def __call__(self, item):
        with open(self.log, "a") as stream:
            stream.write(f"{item['image']}\n")
        time.sleep(self.seconds)
        with Image.open(item["image"]) as image:
            return {**item, "image": torch.from_numpy(np.asarray(image)[None] / np.float32(255))}

    def calls(self):
        """Names of the files read so far, of which there are none from now on."""
        with open(self.log, "a+") as stream:
            stream.seek(0)
            names = [os.path.basename(line.strip()) for line in stream]
            stream.truncate(0)
        return names


@pytest.fixture
def items(tmp_path):
    """Items of eight small PNG images of their own."""
    folder = tmp_path / "images"
    folder.mkdir()
    for n in range(8):
        pixels = np.random.default_rng(n).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{n}.png")
    return [{"image": str(folder / f"{n}.png"), "severity": n % 3, "index": n} for n in range(8)]


@pytest.fixture
def load(tmp_path):
    return CountedLoad(tmp_path / "calls.txt")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "prepared"


def prepare(items, transform, folder, **options):
    return PreparedDataset(items, transform, folder, **{"num_workers": 0, "progress": False, **options})


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "lock"}


def assert_same(dataset, items, transform, tolerance=1e-6):
    """The dataset gives what the transform gives."""
    assert len(dataset) == len(items)
    for item, got in zip(items, dataset):
        expected = transform(dict(item))
        assert set(got) == set(expected)
        assert {k: v for k, v in got.items() if k != "image"} == {k: v for k, v in expected.items() if k != "image"}
        assert type(got["image"]) is torch.Tensor
        assert got["image"].dtype == torch.float32
        assert got["image"].shape == expected["image"].shape
        assert (got["image"] - expected["image"]).abs().max() <= tolerance


# ---------------------------------------------------------------- what it gives


@pytest.mark.parametrize("image_format", ["png", "dicom", "nifti"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_equals_the_transform_to_half_a_step(phantoms, folder, image_format, num_workers):
    datalist = load_datalist(phantoms(image_format))
    items = datalist["training"] + datalist["unlabelled"]
    transform = preprocessing(spatial_dims=3 if image_format == "nifti" else 2)
    dataset = prepare(items, transform, folder, num_workers=num_workers)
    assert dataset.prepared == len(items)
    assert_same(dataset, items, transform, tolerance=0.5 / 65535 + 1e-7)


@pytest.mark.parametrize("dtype", sorted(STEP))
def test_types(phantoms, folder, dtype):
    items = load_datalist(phantoms())["validation"]
    dataset = prepare(items, preprocessing(), folder, dtype=dtype)
    assert_same(dataset, items, preprocessing(), tolerance=STEP[dtype] / 2 + 1e-7 if STEP[dtype] else 0)
    array = np.load(folder / "image.npy", mmap_mode="r")
    assert array.dtype == dtype
    assert array.shape == (len(items), 1, 24, 24)


def test_series_folders(tmp_path, phantoms, folder):
    files = [item["image"] for item in load_datalist(phantoms("dicom"))["training"]]
    for n in range(3):
        (tmp_path / f"series{n}").mkdir()
        shutil.copy(files[n], tmp_path / f"series{n}" / "slice.dcm")
    items = [{"image": str(tmp_path / f"series{n}"), "severity": n, "index": n} for n in range(3)]
    assert_same(prepare(items, preprocessing(), folder), items, preprocessing(), tolerance=1e-5)
    assert prepare(items, preprocessing(), folder).prepared == 0
    shutil.copy(files[5], tmp_path / "series1" / "slice.dcm")
    dataset = prepare(items, preprocessing(), folder)
    assert dataset.prepared == 1
    assert_same(dataset, items, preprocessing(), tolerance=1e-5)


@pytest.mark.parametrize("fields", [None, FIELDS, ["image", "severity"]], ids=["all", "selected", "two"])
def test_other_fields_are_as_the_transform_gives_them(phantoms, folder, fields):
    items = [{**item, "age": n, "site": {"room": [n]}} for n, item in enumerate(load_datalist(phantoms())["test"])]
    assert_same(prepare(items, preprocessing(fields=fields), folder), items, preprocessing(fields=fields), 1e-5)


@pytest.mark.parametrize("step", [DeleteItemsd("note"), SelectItemsd(["image", "index"])], ids=["drops", "selects"])
def test_fields_of_some_items_only_are_as_the_transform_gives_them(items, folder, load, step):
    items = [{**item, "note": "a", **({"age": 50} if n in (2, 5) else {})} for n, item in enumerate(items)]
    transform = Compose([load, step])
    assert_same(prepare(items, transform, folder), items, transform, tolerance=1e-5)
    items[3]["age"] = 60  # a new field of an image that is kept already
    dataset = prepare(items, transform, folder)
    assert dataset.prepared == 0
    assert_same(dataset, items, transform, tolerance=1e-5)


def test_items_are_independent_of_what_is_kept(items, folder, load):
    dataset = prepare(items, load, folder)
    before = dataset[0]["image"].clone()
    dataset[0]["image"].zero_()
    dataset[0]["severity"] = 7
    assert torch.equal(dataset[0]["image"], before)
    assert dataset[0]["severity"] == items[0]["severity"]


def test_indexing(items, folder, load):
    dataset = prepare(items, load, folder)
    assert torch.equal(dataset[-1]["image"], dataset[7]["image"])
    with pytest.raises(IndexError):
        dataset[8]


def test_no_items(folder, load):
    dataset = prepare([], load, folder)
    assert len(dataset) == 0
    assert list(dataset) == []
    assert not folder.exists()


def test_an_image_listed_twice_is_kept_once(items, folder, load):
    dataset = prepare([*items, items[2], {**items[2], "severity": 9}], load, folder)
    assert dataset.prepared == 8
    assert torch.equal(dataset[9]["image"], dataset[2]["image"])
    assert dataset[9]["severity"] == 9


# ---------------------------------------------------------------- several arrays


def volumes(tmp_path, count=3):
    """Items of small volumes with a mask of whole numbers."""
    items = []
    for n in range(count):
        generator = np.random.default_rng(n)
        files = {"image": generator.random((8, 6, 4), dtype=np.float32), "mask": generator.integers(0, 4, (8, 6, 4))}
        for key, values in files.items():
            nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), tmp_path / f"{key}{n}.nii.gz")
        items.append({key: str(tmp_path / f"{key}{n}.nii.gz") for key in files})
    return items


def segmentation():
    keys = ["image", "mask"]
    return Compose(
        [
            LoadCheckedImaged(keys, channels=1, spatial_dims=3),
            Resized(keys, (6, 6, 6), mode=["trilinear", "nearest"]),
            ScaleIntensityd("image"),
            CastToTyped("mask", torch.uint8),
            EnsureTyped(keys, track_meta=False),
            SelectItemsd(keys),
        ]
    )


@pytest.mark.parametrize("num_workers", [0, 2])
def test_masks_of_whole_numbers_come_back_exactly(tmp_path, folder, num_workers):
    items = volumes(tmp_path)
    dataset = prepare(items, segmentation(), folder, keys=("image", "mask"), num_workers=num_workers)
    for item, got in zip(items, dataset):
        expected = segmentation()(item)
        assert set(got) == {"image", "mask"}
        assert got["mask"].dtype == torch.uint8
        assert torch.equal(got["mask"], expected["mask"])
        assert (got["image"] - expected["image"]).abs().max() < 1e-5
    assert np.load(folder / "mask.npy", mmap_mode="r").dtype == np.uint8


def test_a_changed_mask_is_noticed(tmp_path, folder):
    items = volumes(tmp_path)
    prepare(items, segmentation(), folder, keys=("image", "mask"))
    nib.save(nib.Nifti1Image(np.full((8, 6, 4), 3, dtype=np.float32), np.eye(4)), items[1]["mask"])
    dataset = prepare(items, segmentation(), folder, keys=("image", "mask"))
    assert dataset.prepared == 1
    assert dataset[1]["mask"].unique().tolist() == [3]
    assert len(dataset[2]["mask"].unique()) > 1


def stack_masks(item):
    """A channel for each structure, empty where there is no file."""
    masks = [np.zeros((8, 8)) if file is None else np.asarray(Image.open(file)) for file in item["mask"]]
    image = torch.from_numpy(np.asarray(Image.open(item["image"]))[None] / 255)
    return {"image": image, "mask": torch.from_numpy(np.stack(masks) > 127)}


def test_lists_of_masks(items, folder):
    files = [item["image"] for item in items]
    items = [{"image": files[n], "mask": [files[n + 1], None, files[n + 2]]} for n in range(4)]
    dataset = prepare(items, stack_masks, folder, keys=("image", "mask"))
    for item, got in zip(items, dataset):
        assert got["mask"].dtype == torch.bool
        assert torch.equal(got["mask"], stack_masks(item)["mask"])
    items[0]["mask"] = items[0]["mask"][::-1]
    dataset = prepare(items, stack_masks, folder, keys=("image", "mask"))
    assert dataset.prepared == 1
    assert torch.equal(dataset[0]["mask"], stack_masks(items[0])["mask"])


# ---------------------------------------------------------------- a second time


def test_a_second_time_decodes_one_image_to_compare_and_writes_nothing(items, folder, load):
    prepare(items, load, folder)
    load.calls()
    before, times = content(folder), {file: os.stat(file).st_mtime_ns for file in folder.iterdir()}
    dataset = prepare(items, load, folder, num_workers=None)
    assert dataset.prepared == 0
    assert load.calls() == ["0.png"]
    assert content(folder) == before
    assert {file: os.stat(file).st_mtime_ns for file in folder.iterdir()} == times


def test_a_second_time_needs_no_right_to_write(items, folder, load):
    prepare(items, load, folder)
    (folder / "lock").unlink()
    prepare(items, load, folder)
    assert not (folder / "lock").exists()


def test_more_images_are_added(items, folder, load):
    prepare(items[:3], load, folder)
    assert prepare(items, load, folder).prepared == 5
    dataset = prepare(items[::-1], load, folder)
    assert dataset.prepared == 0
    assert_same(dataset, items[::-1], load, tolerance=1e-5)
    assert len(np.load(folder / "image.npy", mmap_mode="r")) == 8


@pytest.mark.parametrize("kept", ["time", "size"])
def test_a_changed_file_is_noticed(items, folder, load, kept):
    first = prepare(items, load, folder)
    old = first[3]["image"].clone()
    before, path = os.stat(items[3]["image"]), items[3]["image"]
    if kept == "time":
        Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        pixels = np.asarray(Image.open(path))
        Image.fromarray(pixels.T.copy()).save(path, compress_level=0)
        with open(path, "ab") as stream:
            stream.write(bytes(max(0, before.st_size - os.path.getsize(path))))
    load.calls()
    dataset = prepare(items, load, folder)
    assert dataset.prepared == 1
    assert load.calls() == ["0.png", "3.png"]
    assert not torch.equal(dataset[3]["image"], old)
    assert_same(dataset, items, load, tolerance=1e-5)
    # who was reading goes on with what it had
    assert torch.equal(first[3]["image"], old)
    assert prepare(items, load, folder).prepared == 0


def test_a_file_changed_while_it_is_read_is_read_again_next_time(items, folder, load):
    def meddling(item):
        result = load(item)
        if item["index"] == 5 and not (folder / "done").exists():
            Image.fromarray(np.full((8, 8), 99, dtype=np.uint8)).save(item["image"])
            (folder / "done").touch()
        return result

    prepare(items, meddling, folder)
    dataset = prepare(items, meddling, folder)
    assert dataset.prepared == 1
    assert_same(dataset, items, load, tolerance=1e-5)


def test_a_changed_grade_needs_no_decoding(items, folder, load):
    prepare(items, load, folder)
    dataset = prepare([{**item, "severity": 4} for item in items], load, folder)
    assert dataset.prepared == 0
    assert [item["severity"] for item in dataset] == [4] * 8


def test_images_and_folder_can_be_moved_together(items, folder, load, tmp_path):
    prepare(items, load, folder)
    (tmp_path / "elsewhere").mkdir()
    for part in ("images", "prepared"):
        shutil.move(tmp_path / part, tmp_path / "elsewhere" / part)
    moved = [{**item, "image": str(tmp_path / "elsewhere" / "images" / f"{n}.png")} for n, item in enumerate(items)]
    dataset = prepare(moved, load, tmp_path / "elsewhere" / "prepared")
    assert dataset.prepared == 0
    assert_same(dataset, moved, load, tolerance=1e-5)


def test_relative_paths_are_the_same_files(items, folder, load, tmp_path, monkeypatch):
    prepare(items, load, folder)
    monkeypatch.chdir(tmp_path)
    relative = [{**item, "image": f"images/{n}.png"} for n, item in enumerate(items)]
    dataset = prepare(relative, load, "prepared")
    assert dataset.prepared == 0
    monkeypatch.chdir("/")
    assert dataset[0]["image"].shape == (1, 8, 8)


def test_relative_paths_elsewhere_are_other_files(items, folder, load, tmp_path, monkeypatch):
    (tmp_path / "other" / "images").mkdir(parents=True)
    shutil.copy(items[1]["image"], tmp_path / "other" / "images" / "0.png")
    relative = [{"image": "images/0.png", "severity": 0, "index": 0}]
    for place, image, prepared in (("", items[0], 1), ("other", items[1], 1), ("", items[0], 0)):
        monkeypatch.chdir(tmp_path / place)
        dataset = prepare(relative, load, folder)
        assert dataset.prepared == prepared
        assert (dataset[0]["image"] - load(image)["image"]).abs().max() < 1e-5


# ---------------------------------------------------------------- other preprocessing


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"transform": preprocessing(size=16)}, r"spatial_size\.0 = 24 \(now 16\)"),
        (
            {"transform": preprocessing(reader="PydicomReader")},
            r"transforms\.0\.load\.load\.auto_select = True \(now False",
        ),
        ({"transform": preprocessing(fields=None)}, r"transforms\.4\._class_ = .*SelectItemsd \(now absent\)"),
        ({"dtype": "uint8"}, r"dtype = uint16 \(now uint8\)"),
    ],
    ids=["size", "reader", "fields", "dtype"],
)
def test_other_preprocessing_is_not_served(phantoms, folder, options, found):
    items = load_datalist(phantoms())["test"]
    prepare(items, preprocessing(), folder)
    before = content(folder)
    with pytest.raises(InputError, match=rf"prepared: was prepared with .*{found}.*name another folder, or delete"):
        prepare(items, **{"transform": preprocessing(), "folder": folder, **options})
    assert content(folder) == before


def test_other_code_under_the_same_name_is_not_served(items, folder, load):
    def halve(image):
        return image / 2

    prepare(items, Compose([load, Lambdad("image", halve)]), folder)

    def halve(image):
        return image / 3

    with pytest.raises(InputError, match=r"0\.png: the preprocessing gives another image than when the folder was"):
        prepare(items, Compose([load, Lambdad("image", halve)]), folder)


def test_a_little_noise_of_another_machine_is_served(items, folder, load):
    def scale(image):
        return image * 0.5

    prepare(items, Compose([load, Lambdad("image", scale)]), folder)

    def scale(image):
        return image * 0.5001

    assert prepare(items, Compose([load, Lambdad("image", scale)]), folder).prepared == 0


@pytest.mark.parametrize("random_transform", [RandFlipd("image"), Compose([RandGaussianNoised("image")])])
def test_random_transforms_are_refused(items, folder, load, random_transform):
    with pytest.raises(InputError, match=r"the preprocessing holds Rand.*random transforms belong after preparing"):
        prepare(items, Compose([load, random_transform]), folder)
    assert not folder.exists()


# ---------------------------------------------------------------- images that cannot be prepared


@pytest.mark.parametrize("num_workers", [0, 2])
def test_bad_images_are_listed_and_the_others_kept(phantoms, tmp_path, folder, num_workers):
    datalist = load_datalist(phantoms())
    items = [{**item, "image": shutil.copy(item["image"], tmp_path)} for item in datalist["training"]]
    for n in (0, 3, 7, 12, 15):
        with open(items[n]["image"], "r+b") as stream:
            stream.truncate(100)
    os.remove(items[9]["image"])
    with pytest.raises(InputError) as raised:
        prepare(items, preprocessing(), folder, num_workers=num_workers)
    message = str(raised.value)
    assert message.startswith(
        f"6 of 20 images could not be prepared: {items[0]['image']}: cannot be read as an image ("
    )
    assert items[7]["image"] in message
    assert items[9]["image"] not in message
    assert message.endswith(f"; and 3 more (14 were, and are kept in {folder})")
    assert "\n" not in message
    for n in (0, 3, 7, 9, 12, 15):
        shutil.copy(datalist["training"][n]["image"], items[n]["image"])
    dataset = prepare(items, preprocessing(), folder, num_workers=num_workers)
    assert dataset.prepared == 6
    assert_same(dataset, items, preprocessing(), tolerance=1e-5)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_other_errors_of_one_image_are_listed_too(items, folder, load, num_workers):
    def odd(image):
        if image.sum() < 0.001:
            raise ZeroDivisionError("too dark\nto see")
        return image

    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(items[4]["image"])
    with pytest.raises(InputError) as raised:
        prepare(items, Compose([load, Lambdad("image", odd)]), folder, num_workers=num_workers)
    assert str(raised.value).startswith(
        f"1 of 8 images could not be prepared: {items[4]['image']}: ZeroDivisionError: too dark to see (7 were"
    )


def test_an_error_of_every_image_keeps_its_traceback(items, folder):
    def broken(item):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        prepare(items, broken, folder)


def test_when_all_images_fail_it_does_not_try_them_all(phantoms, folder):
    items = load_datalist(phantoms())["training"] * 3
    transform = Compose([LoadCheckedImaged("image", channels=3), ScaleIntensityd("image")])
    with pytest.raises(
        InputError, match=r"none of the first 20 images could be prepared; .* in_channels is 3; convert"
    ):
        prepare(items, transform, folder)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_sizes_that_differ(items, folder, load, num_workers):
    Image.fromarray(np.zeros((8, 9), dtype=np.uint8)).save(items[6]["image"])
    message = r"6\.png: image is uint16 of shape \(1, 8, 9\) after the preprocessing, the first one is uint16 of shape"
    with pytest.raises(InputError, match=message):
        prepare(items, load, folder, num_workers=num_workers)


def test_size_that_differs_from_what_is_kept(items, folder, load):
    prepare(items[:4], load, folder)
    for item in items[4:]:
        Image.fromarray(np.zeros((8, 9), dtype=np.uint8)).save(item["image"])
    with pytest.raises(InputError, match=r"image\.npy: holds uint16 arrays of shape \(1, 8, 8\), and now they are"):
        prepare(items[4:], load, folder)


def test_values_outside_the_range(phantoms, folder):
    items = load_datalist(phantoms("dicom"))["test"]
    transform = Compose([LoadCheckedImaged("image", channels=1)])
    with pytest.raises(InputError, match=r"\.dcm: image holds values from .* where uint16 keeps 0 to 1; scale them"):
        prepare(items, transform, folder)
    assert_same(prepare(items, transform, folder, dtype="float32"), items, transform, tolerance=0)


def regrade(item):
    return {**item, "severity": 5}


def to_tensor(item):
    return {**item, "severity": torch.tensor(item["severity"])}


def add_spacing(item):
    return {**item, "spacing": 1.0}


def no_image(item):
    return {"severity": item["severity"]}


def first_only(item):
    return [item]


def drop_when_odd(item):
    return {key: value for key, value in item.items() if key != "index" or item["severity"] % 2 == 0}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (regrade, 'changes the field "severity", but only image can be kept; leave it out with SelectItemsd'),
        (to_tensor, 'changes the field "severity"'),
        (add_spacing, 'adds the field "spacing", but only image can be kept'),
        (no_image, "gives no image, only severity"),
        (first_only, "gives list where a dictionary is needed"),
        (drop_when_odd, 'treats the field "index" otherwise than it does for the first image'),
    ],
)
def test_fields_that_cannot_be_served(items, folder, load, step, message):
    with pytest.raises(InputError) as raised:
        prepare(items, Compose([load, step], map_items=False), folder)
    assert f".png: the preprocessing {message}" in str(raised.value)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"image": torch.zeros(1, 8, 8)}, "item field image: expected the path of a file, found Tensor"),
        ({"picture": "a.png"}, "item without a file: expected one under image, found only picture"),
        ({"image": None}, "item without a file: expected one under image"),
    ],
)
def test_items_without_a_file(folder, load, item, message):
    with pytest.raises(InputError, match=message):
        prepare([item], load, folder)


def test_unknown_type(items, folder, load):
    with pytest.raises(InputError, match="dtype: 'int8' is none of uint8, uint16, float16, float32"):
        prepare(items, load, folder, dtype="int8")


def test_missing_rows_are_noticed(items, folder, load):
    prepare(items[:2], load, folder)
    short = (folder / "image.npy").read_bytes()
    prepare(items, load, folder)
    (folder / "image.npy").write_bytes(short)
    with pytest.raises(InputError, match="holds 2 rows where its index tells of more; delete it"):
        prepare(items, load, folder)


# ---------------------------------------------------------------- killed, and several at once


@pytest.fixture
def many(tmp_path):
    """Items of sixty images."""
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(60):
        Image.fromarray(np.full((8, 8), 4 * n, dtype=np.uint8)).save(folder / f"{n}.png")
    return [{"image": str(folder / f"{n}.png"), "index": n} for n in range(60)]


def finished_rows(folder):
    index = folder / "index.jsonl"
    return index.read_bytes().count(b"\n") if index.exists() else 0


@pytest.mark.parametrize("num_workers", [0, 2])
def test_killed_in_mid_fill_and_resumed(many, tmp_path, folder, monkeypatch, num_workers):
    monkeypatch.setattr(array_store, "FLUSH_SECONDS", 0.01)
    load = CountedLoad(tmp_path / "calls.txt", seconds=0.01)
    killed = tmp_path / "killed"

    def child():
        os.setsid()  # so that its loader processes are killed with it
        prepare(many, load, killed, num_workers=num_workers)

    for more in (5, 15, 1, 15):
        enough = finished_rows(killed) + more
        process = FORK.Process(target=child)
        process.start()
        deadline = time.monotonic() + 30
        while finished_rows(killed) < enough and time.monotonic() < deadline:
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        rows = finished_rows(killed)
        assert enough <= rows < 60
        array = np.load(killed / "image.npy", mmap_mode="r")
        assert (array[:rows, 0, 0, 0] == np.arange(rows) * 4 * 257).all()
    load.calls()
    dataset = prepare(many, load, killed)
    assert load.calls() == ["0.png", *(f"{n}.png" for n in range(rows, 60))]
    assert_same(dataset, many, load, tolerance=1e-5)
    prepare(many, load, folder)
    assert content(killed) == content(folder)


def test_two_at_once_share_the_work(many, tmp_path, folder):
    load = CountedLoad(tmp_path / "calls.txt", seconds=0.002)
    results = FORK.SimpleQueue()

    def child():
        dataset = prepare(many, load, folder)
        results.put((dataset.prepared, [int(item["image"][0, 0, 0] * 255 + 0.5) for item in dataset]))

    processes = [FORK.Process(target=child) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join(60)
    assert sorted(prepared for prepared, _ in found) == [0, 60]
    assert [brightness for _, brightness in found] == [[4 * n for n in range(60)]] * 2
    assert len(load.calls()) == 62  # each decodes the first image to learn from


# ---------------------------------------------------------------- with loaders, samplers and other datasets


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_loader_processes(phantoms, folder, context):
    items = load_datalist(phantoms())["validation"]
    dataset = prepare(items, preprocessing(), folder)
    expected = torch.stack([item["image"] for item in dataset])
    loader = DataLoader(dataset, batch_size=4, num_workers=1, multiprocessing_context=context)
    batches = list(loader)
    assert torch.equal(torch.cat([batch["image"] for batch in batches]), expected)
    assert torch.cat([batch["severity"] for batch in batches]).tolist() == [item["severity"] for item in items]


def test_pickle_holds_no_more_than_an_example(items, folder, load):
    transform = Compose([load, Resized("image", (64, 64))])
    dataset = prepare(items, transform, folder)
    image = dataset[3]["image"]
    packed = pickle.dumps(dataset)
    assert len(packed) < 3 * (64 * 64 * 2) < (folder / "image.npy").stat().st_size
    assert torch.equal(pickle.loads(packed)[3]["image"], image)


def test_two_views(phantoms, folder):
    items = load_datalist(phantoms())["validation"]
    views = TwoViewDataset(prepare(items, preprocessing(), folder), RandGaussianNoised("image", prob=1.0))
    batch = next(iter(DataLoader(views, batch_size=4)))
    assert not torch.equal(batch["image"], batch["image_2"])
    images, target = PrepareSeverityBatch()(batch)
    assert images.shape == (2, 4, 1, 24, 24)
    assert target["severity"].tolist() == [item["severity"] for item in items[:4]]


def test_pairs(phantoms, folder):
    items = load_datalist(phantoms())["validation"]
    pairs = [PreferencePair(1, 2, 0.0), PreferencePair(3, 4, 1.0)]
    for images in (prepare(items, preprocessing(), folder), CacheDataset(items, preprocessing(), progress=False)):
        batch = next(iter(DataLoader(PairDataset(images, pairs, healthy=[0]), batch_size=2)))
        views, target = PrepareSeverityBatch()(batch)
        assert target["index"].tolist() == [1, 2, 0, 3, 4]
        assert (views[0, 0] - preprocessing()(items[1])["image"]).abs().max() < 1e-5


def test_graded_batches(phantoms, folder):
    datalist = load_datalist(phantoms())
    items = datalist["training"] + datalist["unlabelled"]
    sampler = GradeBalancedBatchSampler([item["severity"] for item in items], batch_size=6)
    loader = DataLoader(prepare(items, preprocessing(), folder), batch_sampler=sampler, num_workers=2)
    for batch in loader:
        for image, index in zip(batch["image"], batch["index"].tolist()):
            assert (image - preprocessing()(items[index])["image"]).abs().max() < 1e-5


@pytest.mark.parametrize("num_workers", [0, 2])
def test_training_draws_the_same_whether_images_are_prepared_now_or_were_before(items, folder, load, num_workers):
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)
        prepare(items, load, folder, num_workers=num_workers)
        states.append((torch.rand(3).tolist(), np.random.rand(3).tolist()))
    assert states[0] == states[1]


def test_progress_is_shown_when_there_is_something_to_do(items, folder, load, capfd):
    prepare(items, load, folder, progress=True)
    assert "Preparing images: 100%" in capfd.readouterr().err
    prepare(items, load, folder, progress=True)
    assert capfd.readouterr().err == ""


def test_files_hold_paths_but_nothing_of_the_headers(phantoms, folder):
    items = load_datalist(phantoms("dicom"))["test"]
    prepare(items, preprocessing(), folder)
    for name, data in content(folder).items():
        if name != "image.npy":
            assert b"Phantom" not in data  # the patient's name in these files
            assert b"20000101" not in data
    for line in (folder / "index.jsonl").read_text().splitlines():
        assert set(json.loads(line)) == {"row", "files", "stamps"}
