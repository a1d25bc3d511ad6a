# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import io
import zipfile

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from monai_semise.__main__ import main
from monai_semise.apps.datasets import MedMnist
from monai_semise.data.collection import ProblemKind
from monai_semise.utils import InputError
from tests.apps.datasets.files import by_name, run_datalist

COUNTS = {"train": 20, "val": 10, "test": 10}


def make_arrays(shape=(8, 6, 3), n_classes=5, seed=0):
    random = np.random.default_rng(seed)
    arrays = {}
    for part, count in COUNTS.items():
        arrays[f"{part}_images"] = random.integers(0, 256, (count, *shape), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(count, dtype=np.uint8) % n_classes)[:, None]
    return arrays


def write(folder, name="retinamnist.npz", compressed=True, **changes):
    arrays = {key: value for key, value in {**make_arrays(), **changes}.items() if value is not None}
    (np.savez_compressed if compressed else np.savez)(folder / name, **arrays)
    return folder / name


def read(path, work, **options):
    return MedMnist(**options).read(path, work)


@pytest.mark.parametrize("name", ["retinamnist.npz", "retinamnist_224.npz"])
def test_retinamnist_keeps_its_grades_and_splits(tmp_path, name):
    arrays = make_arrays()
    collection = read(write(tmp_path, name), tmp_path / "work")
    assert collection.grades == ["no DR", "mild NPDR", "moderate NPDR", "severe NPDR", "proliferative DR"]
    assert [record.split for record in collection.records] == ["training"] * 20 + ["validation"] * 10 + ["test"] * 10
    assert [record.severity for record in collection.records] == [n % 5 for n in (*range(20), *range(10), *range(10))]
    written = np.stack([np.asarray(Image.open(record.image)) for record in collection.records[20:30]])
    np.testing.assert_array_equal(written, arrays["val_images"])
    assert len(collection.notes) == 1
    assert "no patient ids" in collection.notes[0]


def test_dermamnist_order_is_inferred(tmp_path):
    path = write(tmp_path, "dermamnist.npz", **make_arrays(n_classes=7))
    collection = read(path, tmp_path / "work")
    assert collection.grades == ["NV", "DF", "BKL", "VASC", "AKIEC", "BCC", "MEL"]
    assert [record.severity for record in collection.records[:7]] == [4, 5, 2, 1, 6, 0, 3]
    assert any("inferred" in note for note in collection.notes)
    overridden = read(path, tmp_path / "again", order=(5, 4))
    assert overridden.grades == ["NV", "MEL"]
    assert not any("inferred" in note for note in overridden.notes)


def test_other_sets_need_an_order(tmp_path):
    path = write(tmp_path, "octmnist.npz", **make_arrays(n_classes=4))
    with pytest.raises(
        InputError, match=r"octmnist\.npz: the labels 0, 1, 2, 3 number classes, not sever.*with --order"
    ):
        read(path, tmp_path / "work")
    collection = read(path, tmp_path / "work", order=[3, 0, 2, 1])
    assert collection.grades == ["class 3", "class 0", "class 2", "class 1"]
    assert [record.severity for record in collection.records[:4]] == [1, 3, 2, 0]


def test_classes_outside_the_order_are_left_out(tmp_path):
    path = write(tmp_path, "octmnist.npz", **make_arrays(n_classes=4))
    collection = read(path, tmp_path / "work", order=[3, 0])
    assert len(collection.records) == sum(n % 4 in (0, 3) for count in COUNTS.values() for n in range(count))
    assert {problem.kind for problem in collection.problems} == {ProblemKind.GRADE}
    assert collection.problems[0].detail == "train_labels[1] is 1, which is not in --order"


def test_gray_images(tmp_path):
    arrays = make_arrays(shape=(8, 6))
    collection = read(write(tmp_path, **arrays), tmp_path / "work")
    image = Image.open(collection.records[3].image)
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), arrays["train_images"][3])


def test_volumes_lie_x_first(tmp_path):
    arrays = make_arrays(shape=(7, 6, 5))
    collection = read(write(tmp_path, "organmnist3d.npz", **arrays), tmp_path / "work", order=[0, 1, 2, 3, 4])
    volume = np.asarray(nib.load(collection.records[20].image).dataobj)
    assert volume.shape == (5, 6, 7)
    np.testing.assert_array_equal(volume[4, 2, 1], arrays["val_images"][0][1, 2, 4])
    assert volume.dtype == np.uint8


@pytest.mark.parametrize("labels", [np.arange(20) % 5, (np.arange(20) % 5)[:, None].astype(np.int64)])
def test_label_shapes_and_types(tmp_path, labels):
    collection = read(write(tmp_path, train_labels=labels), tmp_path / "work")
    assert [record.severity for record in collection.records[:5]] == [0, 1, 2, 3, 4]


def test_file_alone_in_a_folder(tmp_path):
    write(tmp_path)
    assert len(read(tmp_path, tmp_path / "work").records) == 40
    write(tmp_path, "dermamnist.npz")
    with pytest.raises(InputError, match=r"expected one \.npz file, found dermamnist\.npz, retinamnist\.npz; give"):
        read(tmp_path, tmp_path / "work")
    with pytest.raises(InputError, match=r"expected one \.npz file, found none"):
        read(tmp_path / "work", tmp_path / "work")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_labels": None}, r"no array val_labels; found .*train_images"),
        ({"test_images": None, "train_labels": None}, "no array train_labels, test_images"),
        (
            {"train_labels": np.zeros((20, 14), int)},
            "train_labels holds 14 labels for each image; a severity needs one",
        ),
        ({"train_labels": np.zeros((20, 1))}, r"train_labels has shape \(20, 1\) and type float64; expected whole"),
        ({"train_labels": np.zeros((20, 1, 1), int)}, r"train_labels has shape \(20, 1, 1\)"),
        ({"train_labels": np.array(3)}, r"train_labels has shape \(\)"),
        ({"train_labels": np.zeros((19, 1), int)}, "train_images holds 20 images, train_labels 19 labels"),
        ({"val_images": np.zeros((10, 8), np.uint8)}, r"val_images has shape \(10, 8\) and type uint8; expected uint8"),
        ({"val_images": np.zeros((10, 8, 6, 3, 2), np.uint8)}, r"val_images has shape \(10, 8, 6, 3, 2\)"),
        ({"val_images": np.zeros((10, 0, 6), np.uint8)}, r"val_images has shape \(10, 0, 6\)"),
        ({"val_images": np.zeros((10, 8, 6), np.float32)}, r"val_images .* type float32"),
        ({"val_images": np.array([None] * 10)}, "val_images cannot be read .*[Oo]bject arrays"),
        ({"train_labels": np.array([{"a": 1}] * 20)}, "train_labels cannot be read .*[Oo]bject arrays"),
    ],
)
def test_wrong_arrays(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read(write(tmp_path, **changes), tmp_path / "work")


def test_no_object_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (exec, ("raise SystemExit('unpickled')",))

    with pytest.raises(InputError, match=r"[Oo]bject arrays"):
        read(write(tmp_path, train_labels=np.array([Trap()] * 20)), tmp_path / "work")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_file(tmp_path, share, compressed):
    path = write(tmp_path, compressed=compressed)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cannot be read as an \.npz file .*; download it again") as error:
        read(path, tmp_path / "work")
    assert len(str(error.value).splitlines()) == 1


def test_damaged_member(tmp_path):
    path = write(tmp_path, compressed=False)
    content = bytearray(path.read_bytes())
    at = content.index(make_arrays()["val_images"].tobytes()[:50])
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"val_images cannot be read .*CRC"):
        read(path, tmp_path / "work")


def test_members_that_are_no_arrays(tmp_path):
    path = tmp_path / "retinamnist.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key in make_arrays():
            archive.writestr(key, "text")
    with pytest.raises(InputError, match="train_labels is not an array"):
        read(path, tmp_path / "work")


def test_a_single_array_and_a_pickle(tmp_path):
    path = tmp_path / "retinamnist.npz"
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    path.write_bytes(stream.getvalue())
    with pytest.raises(InputError, match="holds a single array"):
        read(path, tmp_path / "work")
    path.write_bytes(b"\x80\x04K\x00.")
    with pytest.raises(InputError, match=r"cannot be read as an \.npz file .*pickle"):
        read(path, tmp_path / "work")


@given(content=st.binary() | st.binary(max_size=60).map(lambda tail: b"PK\x03\x04" + tail))
def test_fuzz_bytes(tmp_path, content):
    path = tmp_path / "retinamnist.npz"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read(path, tmp_path / "work")
    assert len(str(error.value).splitlines()) == 1


@given(data=st.data())
def test_fuzz_damage(tmp_path, data):
    stream = io.BytesIO()
    np.savez(stream, **{key: array[:2] for key, array in make_arrays(shape=(2, 2)).items()})
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "retinamnist.npz"
    path.write_bytes(content)
    try:
        collection = read(path, tmp_path / "work")
    except InputError as error:
        message = str(error)
    else:
        message = f"{len(collection.records)} records"
        assert message == "6 records"
    assert len(message.splitlines()) == 1


def test_command_line(tmp_path):
    datalist = run_datalist("medmnist", write(tmp_path), tmp_path / "retina.json")
    assert [len(datalist[section]) for section in ("training", "validation", "test")] == [20, 10, 10]
    section, item = by_name(datalist)["val_00003.png"]
    assert (section, item["severity"]) == ("validation", 3)
    written = np.asarray(Image.open(tmp_path / item["image"]))
    np.testing.assert_array_equal(written, make_arrays()["val_images"][3])


def test_command_line_volumes_with_an_order(tmp_path):
    path = write(tmp_path, "vesselmnist3d_64.npz", **make_arrays(shape=(4, 4, 4), n_classes=2))
    datalist = run_datalist("medmnist", path, tmp_path / "vessel.json", "--order", "1,0")
    assert datalist["grades"] == ["class 1", "class 0"]
    assert by_name(datalist)["train_00000.nii.gz"][1]["severity"] == 1


@pytest.mark.parametrize("order", ["1,1", "1,x", "1,,0", "-1,0"])
def test_command_line_rejects_a_wrong_order(tmp_path, capsys, order):
    with pytest.raises(SystemExit):
        main(["datalist", "medmnist", "--root", str(write(tmp_path)), "--out", "x.json", f"--order={order}"])
    assert "argument --order:" in capsys.readouterr().err


def test_command_line_leaves_nothing_of_a_failure(tmp_path, capsys):
    path = write(tmp_path, test_images=np.zeros((10, 4), np.uint8))
    assert main(["datalist", "medmnist", "--root", str(path), "--out", str(tmp_path / "out" / "retina.json")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"Error: {path}: test_images has shape")
    assert list((tmp_path / "out").rglob("*")) == []
