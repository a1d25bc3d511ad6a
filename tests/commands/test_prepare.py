# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil

import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from monai_semise.commands import prepare
from monai_semise.data import load_datalist
from monai_semise.utils import InputError
from tests.bundles.harness import CONFIG, ROOT, SMALL

DATASETS = ("images", "validate::dataset", "test_dataset")
STEPS = [step["_target_"] for step in json.loads(CONFIG.read_text())["train"]["preprocessing"]["transforms"]]
RESIZED = f"train::preprocessing::transforms::{STEPS.index('Resized')}"


def run(*arguments):
    """The command, as ``python -m monai_semise`` calls it."""
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers(required=True)
    prepare.add_parser(subparsers).set_defaults(run=prepare.run)
    parsed = parser.parse_args(["prepare", *map(str, arguments)])
    parsed.run(parsed)


@pytest.fixture
def datalist(phantoms, tmp_path):
    """A small set of its own, of 25, 10 and 5 images."""
    folder = tmp_path / "set"
    shutil.copytree(phantoms().parent, folder)
    return folder / "datalist.json"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "prepared"


@pytest.fixture
def given(datalist, out):
    return ["--datalist", datalist, "--out", out, "--config_file", CONFIG, "--num_workers", 0, "--image_size", 24]


def test_training_finds_everything_prepared(given, capsys, tmp_path):
    run(*given)
    command = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert command[:5] == ["python", "-m", "monai.bundle", "run", "--config_file"]
    files = [file.strip("'") for file in command[5].strip("[]").split(",")]
    assert files == [str(CONFIG), str(CONFIG.parent / "prepared.json")]
    settings = dict(zip((name[2:] for name in command[6::2]), command[7::2]))
    settings["image_size"] = int(settings["image_size"])
    flow = ConfigWorkflow(files, logging_file=False, **{**SMALL, "output_dir": str(tmp_path / "run"), **settings})
    flow.initialize()
    datasets = [flow.parser.get_parsed_content(name) for name in DATASETS]
    assert [(len(dataset), dataset.prepared) for dataset in datasets] == [(25, 0), (10, 0), (5, 0)]
    assert datasets[0][24]["image"].shape == (1, 24, 24)


def test_it_says_what_it_did(given, out, capsys):
    run(*given)
    summary = capsys.readouterr().out.splitlines()[0]
    assert re.match(r"40 of 40 images prepared in [\d.]+ s \(\d+ images/s\); all are in ", summary)
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    assert summary.endswith(f"{out} ({size:.1f} MB).")
    assert np.load(out / "image.npy", mmap_mode="r").shape == (40, 1, 24, 24)


def test_a_second_time_there_is_nothing_to_do(given, out, capsys):
    run(*given)
    before = {file: file.read_bytes() for file in out.iterdir()}
    capsys.readouterr()
    run(*given)
    assert capsys.readouterr().out.startswith(f"Nothing to do: all 40 images are in {out}")
    assert {file: file.read_bytes() for file in out.iterdir()} == before


def test_only_what_is_new_is_prepared(given, datalist, capsys):
    content = json.loads(datalist.read_text())
    last = content["training"].pop()
    datalist.write_text(json.dumps(content))
    run(*given)
    content["training"].append(last)
    datalist.write_text(json.dumps(content))
    capsys.readouterr()
    run(*given)
    assert capsys.readouterr().out.startswith("1 of 40 images prepared in ")


def test_default_config_is_that_of_the_checkout(datalist, out, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    run("--datalist", datalist, "--out", out)
    assert "\"['bundles/semise_pretrain.json','bundles/prepared.json']\"" in capsys.readouterr().out
    assert np.load(out / "image.npy", mmap_mode="r").shape == (40, 1, 64, 64)


def test_recipes_and_the_overlay_itself_can_be_given(datalist, out, capsys):
    files = [CONFIG, CONFIG.parent / "recipes" / "isic.json", CONFIG.parent / "prepared.json"]
    run("--datalist", datalist, "--out", out, "--config_file", *files, "--in_channels", 1, "--image_size", 16)
    assert ",".join(f"'{file}'" for file in files) in capsys.readouterr().out
    assert np.load(out / "image.npy", mmap_mode="r").shape == (40, 1, 16, 16)


@pytest.mark.parametrize(
    ("options", "shape", "dtype"),
    [
        (["--image_size=16"], (40, 1, 16, 16), "uint16"),
        (["--prepared_dtype", "uint8"], (40, 1, 24, 24), "uint8"),
        (["--images::dtype", "float16"], None, None),
        ([f"--{RESIZED}::spatial_size", "[8, 12]"], (40, 1, 8, 12), "uint16"),
        ([f"--{RESIZED}::mode".replace("::", "#"), "nearest"], (40, 1, 24, 24), "uint16"),
    ],
)
def test_settings_as_for_training(given, out, options, shape, dtype):
    if shape is None:  # the three datasets share the folder
        with pytest.raises(InputError, match="was prepared with dtype = float16"):
            run(*given, *options)
        return
    run(*given, *options)
    array = np.load(out / "image.npy", mmap_mode="r")
    assert array.shape == shape
    assert array.dtype == dtype


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--imagesize", "3"], 'unknown setting "imagesize"; did you mean "image_size"?'),
        (["--num", "3"], 'unknown setting "num"'),
        (["--trian::preprocessing::lazy", "True"], 'unknown setting "trian"; did you mean "train"?'),
        (["--train::preprocessing::lazzy", "True"], 'did you mean "train::preprocessing::lazy"?'),
        (["--train::preprocessing::transforms::99::mode", "area"], 'unknown setting "train::preprocessing::transforms'),
        (["--image_size"], "--image_size: has no value"),
        (["--image_size", "--in_channels", "3"], "--image_size: has no value"),
        (["stray"], "stray: expected a setting, --name value"),
    ],
)
def test_settings_that_are_wrong(datalist, out, options, message):
    with pytest.raises(InputError) as raised:
        run("--datalist", datalist, "--out", out, "--config_file", CONFIG, "--num_workers", 0, *options)
    assert message in str(raised.value)
    assert not out.exists()


def test_other_preprocessing_needs_another_folder(given, out):
    run(*given)
    with pytest.raises(InputError, match=rf"{out}: was prepared with .*24 \(now 16\).*name another folder, or delete"):
        run(*given, "--image_size", 16)


def test_bad_images_of_all_sections_are_listed_and_the_others_kept(given, datalist, out):
    sections = load_datalist(datalist)
    bad = [sections[section][3]["image"] for section in ("training", "validation")]
    for file in bad:
        with open(file, "r+b") as stream:
            stream.truncate(100)
    with pytest.raises(InputError) as raised:
        run(*given)
    assert all(file in str(raised.value) for file in bad)
    assert "\n" not in str(raised.value)
    assert len(np.load(out / "image.npy", mmap_mode="r")) == 38


def test_same_error_of_all_sections_is_told_once(given, tmp_path):
    (tmp_path / "prepared").write_text("in the way")
    with pytest.raises(InputError) as raised:
        run(*given)
    assert str(raised.value).count("cannot be written") == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["nowhere.json"], r"config file nowhere\.json: does not exist; give --config_file, or start in the checkout"),
        (["broken.json"], r"config file broken\.json: cannot be read \("),
        (["other.json"], r"config file other\.json with prepared\.json: cannot be read \('query key: validate'\)"),
        (
            ["another.json"],
            r"another\.json: has no validate::dataset, so prepared\.json is not its overlay; name the one of this",
        ),
    ],
)
def test_config_files_that_are_wrong(datalist, out, tmp_path, monkeypatch, files, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text('{"datalist": "a.json", "run": []}')
    (tmp_path / "another.json").write_text('{"datalist": "a.json", "validate": {}, "run": []}')
    shutil.copy(CONFIG.parent / "prepared.json", tmp_path)
    with pytest.raises(InputError, match=message):
        run("--datalist", datalist, "--out", out, "--config_file", *files)


def test_default_config_outside_of_the_checkout(datalist, out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"config file bundles/semise_pretrain\.json: does not exist"):
        run("--datalist", datalist, "--out", out)


def test_missing_datalist(out):
    with pytest.raises(InputError, match=r"datalist .*nowhere\.json: cannot be read"):
        run("--datalist", "nowhere.json", "--out", out, "--config_file", CONFIG)


def test_folder_must_be_given(datalist, capsys):
    with pytest.raises(SystemExit):
        run("--datalist", datalist)
    assert "required: --out" in capsys.readouterr().err
