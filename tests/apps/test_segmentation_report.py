# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import csv
import json
import logging

import pytest
import torch
from monai.inferers import SlidingWindowInferer

from monai_semise.apps import SegmentationReport
from monai_semise.utils import save_checkpoint

STRUCTURES = ["disc", "cup"]


class Brightness(torch.nn.Module):
    """Calls disc what is brighter than ``level``, and cup what is brighter than 0.8."""

    def __init__(self, level=0.3, exclusive=False):
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor(level))
        self.exclusive = exclusive

    def forward(self, image):
        disc, cup = image - self.level, image - 0.8
        if not self.exclusive:
            return torch.cat([disc, cup], dim=1)
        return torch.cat([0 * image, disc, disc + 100 * cup], dim=1)


def item(disc=None, cup=None, size=(32, 48), exclusive=False):
    """An image on 16 pixels whose disc has brightness 0.5 and whose cup 1, and their masks in the original size.

    Both are given as the ends of rows, in sixteenths.
    """
    image, mask = torch.zeros(1, 16, 16), torch.zeros(2, *size, dtype=torch.uint8)
    for n, (rows, value) in enumerate(((disc, 0.5), (cup, 1.0))):
        if rows is not None:
            image[:, rows[0] : rows[1]] = value
            mask[n, rows[0] * size[0] // 16 : rows[1] * size[0] // 16] = 1
    if exclusive:
        mask[0] *= 1 - mask[1]
    return {"image": image, "mask": mask}


def report(folder, sections, training=None, network=None, **options):
    (folder / "log.csv").write_text("phase,epoch,loss,dice\ntrain,1,1.0,0.5\n")
    save_checkpoint(folder / "best.pt", Brightness(exclusive=options.get("exclusive", False)).state_dict())
    training = [item((0, 8), (2, 6), (16, 16))] if training is None else training
    network = Brightness(level=0.9, exclusive=options.get("exclusive", False)) if network is None else network
    return SegmentationReport(
        folder, network, folder / "best.pt", training, sections, STRUCTURES, n_resamples=200, **options
    )


def rows_of(folder):
    return list(csv.DictReader((folder / "segmentation.csv").open()))


def named(*groups):
    return [
        {"image": f"{n}.png"} if group is None else {"image": f"{n}.png", "group": group}
        for n, group in enumerate(groups)
    ]


@pytest.fixture
def sections():
    """Test: one image right, one that shows no cup, one whose disc has half of its rows outside what it should."""
    half = item((4, 12))
    half["mask"][0, 16:] = 0
    test = [item((0, 8), (2, 6)), item((4, 12), size=(20, 30)), half]
    return {"validation": ([test[0]], named("v")), "test": (test, named("p", "p", "q"))}


def test_scores_of_every_image_in_its_own_size(tmp_path, sections):
    report(tmp_path, sections).write()
    rows = rows_of(tmp_path)
    assert [(row["section"], row["image"], row["group"], row["structure"]) for row in rows] == [
        ("validation", "0.png", "v", "disc"),
        ("validation", "0.png", "v", "cup"),
        ("test", "0.png", "p", "disc"),
        ("test", "0.png", "p", "cup"),
        ("test", "1.png", "p", "disc"),
        ("test", "1.png", "p", "cup"),
        ("test", "2.png", "q", "disc"),
        ("test", "2.png", "q", "cup"),
    ]
    found = {(row["section"], row["image"], row["structure"]): row for row in rows}
    right = found["test", "1.png", "disc"]
    assert float(right["dice"]) == pytest.approx(1, abs=0.08)
    assert float(right["true_share"]) == pytest.approx(0.5)
    absent = found["test", "1.png", "cup"]
    assert (absent["dice"], absent["iou"], float(absent["predicted_share"])) == ("", "", 0)
    half = found["test", "2.png", "disc"]
    assert float(half["dice"]) == pytest.approx(2 / 3, abs=0.05)
    for row in rows:
        if row["dice"]:
            dice = float(row["dice"])
            assert float(row["iou"]) == pytest.approx(dice / (2 - dice), abs=1e-5)


def test_means_are_over_images_that_show_the_structure(tmp_path, sections):
    summary = report(tmp_path, sections).write()
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    rows = [row for row in rows_of(tmp_path) if row["section"] == "test"]
    model = summary["test"]["rows"]["model"]
    for structure in STRUCTURES:
        dice = [float(row["dice"]) for row in rows if row["structure"] == structure and row["dice"]]
        value, low, high = model[f"{structure}_dice"]
        assert value == pytest.approx(sum(dice) / len(dice), abs=1e-5)
        assert low is None or min(dice) - 1e-5 <= low <= value <= high <= max(dice) + 1e-5
    assert len(dice) == 1
    assert "disc_absent_correct" not in model
    assert model["cup_absent_correct"][0] == 1
    assert (summary["test"]["images"], summary["test"]["patients"]) == (3, 2)


def test_intervals_are_by_patient(tmp_path):
    """Two images of one patient are drawn together: with two patients, the ends are those of either."""
    wrong = item((4, 12))
    wrong["mask"][0] = 1 - wrong["mask"][0]
    test = [item((0, 8)), item((4, 12)), wrong, wrong]
    summary = report(tmp_path, {"test": (test, named("p", "p", "q", "q"))}).write()
    dice = [float(row["dice"]) for row in rows_of(tmp_path) if row["structure"] == "disc"]
    value, low, high = summary["test"]["rows"]["model"]["disc_dice"]
    assert (low, high) == pytest.approx((sum(dice[2:]) / 2, sum(dice[:2]) / 2), abs=1e-4)
    assert low < value < high


def test_false_alarms_are_counted(tmp_path):
    alarm = item((4, 12), (6, 8))
    alarm["mask"][1] = 0
    test = [alarm, item((0, 8)), item((0, 8)), item((0, 8), (2, 6))]
    summary = report(tmp_path, {"test": (test, named(None, None, None, None))}).write()
    assert summary["test"]["rows"]["model"]["cup_absent_correct"][0] == pytest.approx(2 / 3)
    assert summary["test"]["patients"] == 4


def test_one_mask_for_all_images_stands_beside(tmp_path, caplog):
    """A model that is no better than it is named."""
    same = [item((0, 8), (2, 6)) for _ in range(6)]
    with caplog.at_level(logging.INFO, logger="monai_semise"):
        summary = report(tmp_path, {"test": (same, named(*"abcdef"))}).write()
    constant = summary["test"]["rows"]["constant-mask"]
    assert constant["disc_dice"][0] == pytest.approx(1, abs=0.05)
    warnings = summary["test"]["warnings"]
    assert len(warnings) == 3
    assert warnings[2] == "6 patients or groups: intervals from fewer than 20 are too narrow"
    assert warnings[0].startswith("model: the Dice of disc is not shown to lie above that of one mask for all images")
    assert warnings[0] in caplog.text


def test_a_better_model_gets_no_warning(tmp_path):
    test = [item((n, n + 4), (n, n + 2)) for n in range(0, 12, 2)]
    training = [item((n, n + 4), (n, n + 2), (16, 16)) for n in range(0, 12, 2)]
    summary = report(tmp_path, {"test": (test, named(*"abcdef"))}, training).write()["test"]
    assert not any("is not shown to lie above" in warning for warning in summary["warnings"])
    assert summary["rows"]["constant-mask"]["disc_dice"][0] < 0.6 < summary["rows"]["model"]["disc_dice"][0]


def test_files(tmp_path, sections, caplog):
    with caplog.at_level(logging.INFO, logger="monai_semise"):
        report(tmp_path, sections, settings={"image_size": 16, "structures": STRUCTURES}).write()
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert float(state["level"]) == pytest.approx(0.3)
    assert json.loads((tmp_path / "settings.json").read_text()) == {"image_size": 16, "structures": STRUCTURES}
    for name in ("overlays.png", "curves.png", "measures.csv"):
        assert (tmp_path / name).stat().st_size > 100
        assert f"  {name} " in caplog.text
    assert str(tmp_path) in caplog.text
    rows = list(csv.DictReader((tmp_path / "measures.csv").open()))
    assert {(row["section"], row["predictor"]) for row in rows} == {
        (section, predictor) for section in ("validation", "test") for predictor in ("model", "constant-mask")
    }


def test_without_a_test_section(tmp_path, sections):
    summary = report(tmp_path, {**sections, "test": ([], [])}).write()
    assert list(summary) == ["validation"]
    assert (tmp_path / "overlays.png").is_file()


def test_structure_that_the_test_images_do_not_show(tmp_path):
    summary = report(tmp_path, {"test": ([item((0, 8))] * 2, named("p", "q"))}).write()
    assert summary["test"]["rows"]["model"]["cup_dice"] == [None, None, None]
    assert "NaN" not in (tmp_path / "summary.json").read_text()


def test_exclusive_structures(tmp_path):
    test = [item((0, 8), (2, 6), exclusive=True), item((4, 12), exclusive=True)]
    training = [item((0, 8), (2, 6), (16, 16), exclusive=True)]
    summary = report(tmp_path, {"test": (test, named("p", "q"))}, training, exclusive=True).write()["test"]
    assert summary["rows"]["model"]["disc_dice"][0] > 0.85
    assert summary["rows"]["model"]["cup_dice"][0] > 0.85
    assert summary["rows"]["constant-mask"]["cup_dice"][0] > 0.85


def test_sliding_windows(tmp_path, sections):
    whole = report(tmp_path, sections).write()
    slid = report(tmp_path, sections, inferer=SlidingWindowInferer((8, 8), overlap=0.5)).write()
    assert slid == whole


def test_volumes(tmp_path):
    volume = torch.zeros(1, 8, 8, 8)
    volume[:, 2:6, 2:6, 2:6] = 0.5
    mask = torch.zeros(2, 16, 16, 12, dtype=torch.uint8)
    mask[0, 4:12, 4:12, 3:9] = 1
    small = {"mask": torch.nn.functional.interpolate(mask[None].float(), (8, 8, 8))[0]}
    summary = report(tmp_path, {"test": ([{"image": volume, "mask": mask}], named("p"))}, [small]).write()
    assert summary["test"]["rows"]["model"]["disc_dice"][0] > 0.8
    assert (tmp_path / "overlays.png").is_file()
