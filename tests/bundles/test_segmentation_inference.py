# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The segmentation inference bundle on what small training runs leave behind."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch
from monai.bundle import ConfigWorkflow
from monai.transforms import Resize
from nibabel.orientations import aff2axcodes
from PIL import Image

from monai_semise.apps.run_settings import write_run_settings
from monai_semise.data import ensure_phantoms
from monai_semise.networks import SegmentationUNet, build_encoder
from monai_semise.transforms import LoadCheckedImage
from monai_semise.utils import find_semise_error, load_checkpoint, save_checkpoint, write_json
from tests.bundles.harness import ROOT
from tests.data.dicom_files import write_dicom, write_series

CONFIG = ROOT / "bundles" / "semise_segmentation_inference.json"
DECODER = [16, 16, 16, 8, 8]
UNTRAINED = {
    "bundle": "semise_segmentation",
    "backbone": "resnet10",
    "spatial_dims": 2,
    "in_channels": 1,
    "image_size": 32,
    "mammography": False,
    "local_contrast": False,
    "structures": ["lesion"],
    "exclusive": False,
    "decoder_channels": DECODER,
}


class Brightness(torch.nn.Module):
    """In the place of a UNet: a structure is where the image is bright, or where it is dark."""

    def __init__(self, n_outputs):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([20.0, -20.0, 10.0])[:n_outputs])

    def forward(self, image):
        return (image[:, :1] - 0.5) * self.scale.view(1, -1, *[1] * (image.ndim - 2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Output folder of a small run on bright discs, which are easy to learn, and their datalist."""
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(0)
    content = {"training": [], "validation": [], "test": []}
    for n in range(35):
        shown = disc((45, 38), random.uniform(12, 28, size=2), 9) & (n < 33)
        image = 60 + 100 * shown + random.normal(scale=10, size=shown.shape)
        Image.fromarray(image.T.astype(np.uint8)).save(folder / f"{n}.png")
        Image.fromarray(shown.T.astype(np.uint8)).save(folder / f"mask_{n}.png")
        section = "training" if n < 20 else "validation" if n < 25 else "test"
        content[section].append({"image": f"{n}.png", "mask": f"mask_{n}.png", "group": f"patient {n // 5}"})
    write_json(folder / "datalist.json", content)
    torch.manual_seed(1)
    save_checkpoint(folder / "encoder.pt", build_encoder("resnet10")[0].state_dict())
    flow = ConfigWorkflow(
        str(ROOT / "bundles" / "semise_segmentation.json"),
        logging_file=False,
        workflow_type="train",
        **{
            "backbone": "resnet10",
            "image_size": 32,
            "batch_size": 5,
            "decoder_channels": DECODER,
            "n_resamples": 50,
            "encoder": str(folder / "encoder.pt"),
            "datalist": str(folder / "datalist.json"),
            "train::trainer::max_epochs": 10,
            "head_lr": 0.01,
            "output_dir": str(folder / "run"),
        },
    )
    flow.initialize()
    flow.run()
    return folder / "run", folder / "datalist.json"


def run_of(folder, **settings):
    """A run folder whose network marks what is bright; see ``infer``."""
    given = {**UNTRAINED, **settings}
    n_outputs = len(given["structures"]) + given["exclusive"]
    save_checkpoint(folder / "model.pt", Brightness(n_outputs).state_dict())
    write_run_settings(folder, given)
    return folder


def infer(run_dir, source, out, **settings):
    """Run the bundle; a run of ``run_of`` with its own network."""
    given = json.loads((Path(run_dir) / "settings.json").read_text())
    if "seed" not in given:  # not of a training
        n_outputs = len(given["structures"]) + given["exclusive"]
        settings["network_def"] = {"_target_": f"{__name__}.Brightness", "n_outputs": n_outputs}
    flow = ConfigWorkflow(
        str(CONFIG),
        logging_file=False,
        workflow_type="infer",
        run_dir=str(run_dir),
        input=source if isinstance(source, list) else str(source),
        output_dir=str(out),
        **{"n_resamples": 20, **settings},
    )
    flow.initialize()
    flow.run()
    return flow


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def disc(size, centre, radius):
    """True inside a disc, or a ball; first axis x."""
    grid = np.meshgrid(*(np.arange(n) for n in size), indexing="ij")
    return sum((axis - c) ** 2 for axis, c in zip(grid, centre)) < radius**2


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


# ---------------------------------------------------------------- a trained network


def test_masks_are_those_of_the_training_report(trained, tmp_path):
    run, datalist = trained
    infer(run, datalist, tmp_path, batch_size=3)
    found = {row["image"]: row for row in rows_of(tmp_path / "segmentation.csv")}
    expected = [row for row in rows_of(run / "segmentation.csv") if row["section"] == "test"]
    assert len(found) == len(expected) == 10
    assert sum(row["present"] == "1" for row in found.values()) > 5
    for row in expected:
        twin = found[row["image"]]
        assert (twin["patient"], twin["structure"]) == (row["group"], "lesion")
        for column in ("dice", "iou", "true_share", "predicted_share"):
            assert (twin[column] == "") == (row[column] == "")
            assert not row[column] or float(twin[column]) == pytest.approx(float(row[column]), abs=1e-4)
    network = SegmentationUNet(1, 1, "resnet10", decoder_channels=DECODER).eval()
    network.load_state_dict(load_checkpoint(run / "model.pt"))
    for row in found.values():
        image = Resize((32, 32))(LoadCheckedImage(channels=1)(row["image"])).as_tensor()
        image = (image - image.min()) / (image.max() - image.min())
        with torch.inference_mode():
            logits = torch.nn.functional.interpolate(network(image[None]), (45, 38), mode="bilinear")[0, 0]
        mask = np.asarray(Image.open(tmp_path / row["mask"])) > 0
        assert (mask != (logits > 0).numpy().T).mean() < 1e-3
        assert int(row["pixels"]) == mask.sum()
        assert float(row["predicted_share"]) == pytest.approx(mask.mean(), abs=1e-5)
        if mask.any():
            assert float(row["probability"]) == pytest.approx(float(logits.sigmoid()[logits > 0].mean()), abs=1e-3)


def test_a_second_run_on_its_own_masks_is_perfect(trained, tmp_path):
    """The masks written can be the masks of a datalist."""
    run, datalist = trained
    infer(run, datalist, tmp_path / "a", n_shown=0)
    rows = rows_of(tmp_path / "a" / "segmentation.csv")
    items = [{"image": row["image"], "mask": [str(tmp_path / "a" / row["mask"])]} for row in rows]
    content = {"training": [{"image": str(datalist.parent / "0.png")}], "test": items}
    write_json(tmp_path / "list.json", content)
    infer(run, tmp_path / "list.json", tmp_path / "b", n_shown=0)
    again = rows_of(tmp_path / "b" / "segmentation.csv")
    assert len(again) == 10
    assert {row["dice"] for row in again} <= {"1", ""}
    assert any(row["dice"] for row in again)


def test_windows_slide_where_training_cut_them(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    settings = json.loads((run / "settings.json").read_text())
    write_json(run / "settings.json", {**settings, "window": 32, "image_size": 48})
    flow = infer(run, trained[1], tmp_path / "out", n_shown=1)
    inferer = flow.parser.get_parsed_content("inferer")
    assert (tuple(inferer.roi_size), inferer.overlap, inferer.mode) == ((32, 32), 0.5, "gaussian")
    shipped = json.loads((ROOT / "bundles" / "segmentation" / "windows.json").read_text())["validate::inferer"]
    own = json.loads(CONFIG.read_text())["inferer"]
    assert {key: value for key, value in own.items() if key != "_disabled_"} == shipped
    assert len(rows_of(tmp_path / "out" / "segmentation.csv")) == 10


# ---------------------------------------------------------------- geometry


@pytest.mark.parametrize("size", [(50, 41), (33, 97), (32, 32)])
def test_a_png_mask_lies_on_its_picture(tmp_path, size):
    truth = disc(size, (12, 24), 8)
    (tmp_path / "images").mkdir()
    Image.fromarray((truth.T * 200 + 20).astype(np.uint8)).save(tmp_path / "images" / "a.png")
    infer(run_of(tmp_path / "run"), tmp_path / "images", tmp_path / "out")
    picture, mask = (Image.open(path) for path in (tmp_path / "images/a.png", tmp_path / "out/masks/a_lesion.png"))
    assert (mask.mode, mask.size) == ("L", picture.size)
    values = np.asarray(mask)
    assert set(np.unique(values)) == {0, 255}
    assert dice(values > 0, np.asarray(picture) > 100) > 0.93
    (row,) = rows_of(tmp_path / "out" / "segmentation.csv")
    assert (row["area_mm2"], row["dice"], row["true_share"]) == ("", "", "")


OBLIQUE = np.array([[1.9, 0.4, 0.3, -20], [-0.35, 0.8, 0.2, 11], [-0.5, -0.1, 2.4, 7], [0, 0, 0, 1]])


@pytest.mark.parametrize("ending", ["nii.gz", "nii"])
def test_nifti_volume_with_an_oblique_affine(tmp_path, ending):
    size = (27, 40, 19)
    truth = disc(size, (9, 25, 12), 6)
    source = nib.Nifti1Image(truth.astype(np.float32), OBLIQUE)
    source.set_sform(OBLIQUE, 2)
    source.set_qform(OBLIQUE, 1)  # which cannot hold the shear
    source.header["descrip"] = b"JOHN DOE"
    nib.save(source, tmp_path / f"v.{ending}")
    infer(run_of(tmp_path / "run", spatial_dims=3), tmp_path / f"v.{ending}", tmp_path / "out")
    path = tmp_path / "out" / "masks" / "v_lesion.nii.gz"
    mask = nib.load(path)
    assert mask.shape == size
    assert mask.get_data_dtype() == np.uint8
    assert np.array_equal(mask.affine, source.affine)
    source = nib.load(tmp_path / f"v.{ending}")
    assert np.array_equal(mask.get_qform(), source.get_qform())
    assert (mask.header["sform_code"], mask.header["qform_code"]) == (2, 1)
    assert mask.header.get_zooms() == source.header.get_zooms()
    assert b"JOHN" not in gzip.decompress(path.read_bytes())
    found = np.asarray(mask.dataobj)
    assert set(np.unique(found)) == {0, 1}
    assert dice(found > 0, truth) > 0.85
    (row,) = rows_of(tmp_path / "out" / "segmentation.csv")
    voxel = np.prod(np.linalg.norm(OBLIQUE[:3, :3], axis=0))
    assert float(row["volume_ml"]) == pytest.approx(found.sum() * voxel / 1000, rel=1e-4)


def test_nifti_image_of_one_slice(tmp_path):
    truth = disc((40, 30), (9, 22), 6)
    nib.save(nib.Nifti1Image(truth[..., None].astype(np.float32), OBLIQUE), tmp_path / "one.nii.gz")
    nib.save(nib.Nifti1Image(truth.astype(np.float32), OBLIQUE), tmp_path / "flat.nii.gz")
    names = [str(tmp_path / name) for name in ("one.nii.gz", "flat.nii.gz")]
    infer(run_of(tmp_path / "run"), names, tmp_path / "out")
    for name, shape in (("one", (40, 30, 1)), ("flat", (40, 30))):
        mask = nib.load(tmp_path / "out" / "masks" / f"{name}_lesion.nii.gz")
        assert mask.shape == shape
        assert np.allclose(mask.affine, OBLIQUE)
        assert dice(np.asarray(mask.dataobj).reshape(40, 30) > 0, truth) > 0.9


def test_dicom_series(tmp_path):
    """The mask lies in space where the ball does, whatever the order of the slices."""
    size = (30, 22, 14)
    truth = disc(size, (8, 14, 9), 4.5)
    lps = np.diag([-1, -1, 1, 1]) @ np.diag([0.8, 0.9, 2.5, 1.0])
    lps[:3, 3] = 5, 6, 7
    write_series(tmp_path / "series", (truth * 1000).astype(np.uint16), lps)
    infer(run_of(tmp_path / "run", spatial_dims=3), tmp_path / "series", tmp_path / "out")
    mask = nib.load(tmp_path / "out" / "masks" / "series_lesion.nii.gz")
    assert mask.shape == size
    ras = np.diag([-1, -1, 1, 1]) @ lps
    assert np.allclose(mask.affine, ras)
    assert np.allclose(mask.get_qform(), ras, atol=1e-5)
    assert aff2axcodes(mask.affine) == ("R", "A", "S")
    assert dice(np.asarray(mask.dataobj) > 0, truth) > 0.8
    (row,) = rows_of(tmp_path / "out" / "segmentation.csv")
    assert float(row["volume_ml"]) == pytest.approx(int(row["pixels"]) * 0.8 * 0.9 * 2.5 / 1000, rel=1e-4)


@pytest.mark.parametrize("side", ["L", "R"])
def test_mammograms_are_mirrored_and_cropped_back(tmp_path, side):
    """The breast is the dim left half, the lesion bright in it; a right breast lies to the right."""
    size = (60, 50)
    breast = disc(size, (-5, 25), 35) & (np.arange(50) > 8)
    lesion = disc(size, (12, 31), 6)
    image = np.where(lesion, 4000, np.where(breast, 1500, 0)).astype(np.uint16)
    if side == "R":
        image, lesion = image[::-1], lesion[::-1]
    (tmp_path / "images").mkdir()
    write_dicom(
        tmp_path / "images" / "IM0",
        image.T,
        ImageLaterality=side,
        ImagerPixelSpacing=[0.5, 0.25],
        WindowCenter=2048,
        WindowWidth=4096,
    )
    run = run_of(tmp_path / "run", mammography=True)
    flow = infer(run, tmp_path / "images", tmp_path / "out")
    geometry = json.loads(flow.parser.get_parsed_content("dataset")[0]["geometry"])
    assert geometry["seen"][0] != [0, 60]
    assert geometry["flipped"] == ([0] if side == "R" else [])
    mask = nib.load(tmp_path / "out" / "masks" / "IM0_lesion.nii.gz")
    found = np.asarray(mask.dataobj)[..., 0] > 0
    assert found.shape == size
    assert dice(found, lesion) > 0.9
    assert np.allclose(np.abs(np.diag(mask.affine)[:2]), [0.25, 0.5])
    (row,) = rows_of(tmp_path / "out" / "segmentation.csv")
    assert float(row["area_mm2"]) == pytest.approx(found.sum() * 0.25 * 0.5)
    assert float(row["predicted_share"]) == pytest.approx(found.mean(), abs=1e-5)


def test_dicom_that_does_not_tell_its_spacing(tmp_path):
    write_dicom(tmp_path / "a.dcm", (disc((40, 30), (9, 22), 6).T * 1000).astype(np.uint16))
    infer(run_of(tmp_path / "run"), tmp_path / "a.dcm", tmp_path / "out", mask_format="png")
    (row,) = rows_of(tmp_path / "out" / "segmentation.csv")
    assert row["area_mm2"] == ""
    assert row["mask"] == "masks/a_lesion.png"
    assert Image.open(tmp_path / "out" / row["mask"]).size == (40, 30)


def test_dicom_seg(tmp_path):
    pytest.importorskip("highdicom")
    path = Path(ensure_phantoms(tmp_path / "data", 5, 1, 1, size=32, image_format="dicom_series", progress=False))
    series = next(path.parent.glob("images/*"))
    run = run_of(tmp_path / "run", spatial_dims=3, structures=["bright", "dark"])
    infer(run, series, tmp_path / "nifti")
    infer(run, series, tmp_path / "seg", mask_format="dicom_seg")
    rows = rows_of(tmp_path / "seg" / "segmentation.csv")
    assert {row["mask"] for row in rows} == {f"masks/{series.name}_masks.dcm"}
    found = pydicom.dcmread(tmp_path / "seg" / rows[0]["mask"])
    assert found.Modality == "SEG"
    assert [segment.SegmentLabel for segment in found.SegmentSequence] == ["bright", "dark"]
    expected = [nib.load(path).get_fdata().sum() for path in sorted((tmp_path / "nifti" / "masks").iterdir())]
    numbers = np.array(
        [g.SegmentIdentificationSequence[0].ReferencedSegmentNumber for g in found.PerFrameFunctionalGroupsSequence]
    )
    sums = found.pixel_array.reshape(len(numbers), -1).sum(axis=1)
    assert [sums[numbers == n].sum() for n in (1, 2)] == expected


# ---------------------------------------------------------------- several structures


def test_a_file_for_each_structure(tmp_path):
    truth = disc((50, 40), (12, 24), 8)
    Image.fromarray((truth.T * 200 + 20).astype(np.uint8)).save(tmp_path / "a.png")
    run = run_of(tmp_path / "run", structures=["bright spot", "dark/rest"])
    infer(run, tmp_path / "a.png", tmp_path / "out")
    bright, dark = (np.asarray(Image.open(tmp_path / f"out/masks/a_{n}.png")) for n in ("bright_spot", "dark_rest"))
    assert dice(bright > 0, truth.T) > 0.9
    assert dice(dark > 0, ~truth.T) > 0.9
    assert [row["structure"] for row in rows_of(tmp_path / "out" / "segmentation.csv")] == ["bright spot", "dark/rest"]


@pytest.mark.parametrize("mask_format", ["png", "nifti"])
def test_exclusive_structures_are_one_label_map(tmp_path, mask_format):
    """Where the image is dark, the background's logit, 20 * -0.5, is below that of the first structure, 10."""
    truth = disc((50, 40), (12, 24), 8)
    Image.fromarray((truth.T * 200 + 20).astype(np.uint8)).save(tmp_path / "a.png")
    run = run_of(tmp_path / "run", structures=["dark", "never"], exclusive=True)
    infer(run, tmp_path / "a.png", tmp_path / "out", mask_format=mask_format)
    rows = rows_of(tmp_path / "out" / "segmentation.csv")
    (name,) = {row["mask"] for row in rows}
    path = tmp_path / "out" / name
    labels = np.asarray(Image.open(path)).T if mask_format == "png" else np.asarray(nib.load(path).dataobj)[..., 0]
    assert set(np.unique(labels)) == {0, 1}
    assert dice(labels == 1, ~truth) > 0.9
    assert [row["present"] for row in rows] == ["1", "0"]
    assert rows[1]["probability"] == ""


def test_true_masks_bring_measures_with_intervals(trained, tmp_path):
    run, datalist = trained
    infer(run, datalist, tmp_path, n_shown=2)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Against the true masks of 10 images" in text
    summary = json.loads((run / "summary.json").read_text())["test"]["rows"]["model"]
    assert f"<td>{summary['lesion_dice'][0]:.3f} (" in text
    assert f"<td>{summary['lesion_absent_correct'][0]:.3f}" in text


def test_masks_of_other_structures_are_not_compared(trained, tmp_path, caplog):
    run = run_of(tmp_path / "run", structures=["disc"])
    with caplog.at_level("WARNING", logger="monai_semise"):
        infer(run, trained[1], tmp_path / "out")
    assert "has masks of lesion, and the network outlines disc: they are not compared" in caplog.text
    assert {row["dice"] for row in rows_of(tmp_path / "out" / "segmentation.csv")} == {""}


# ---------------------------------------------------------------- the page


def test_page(trained, tmp_path, caplog):
    folder = tmp_path / "images"
    folder.mkdir()
    for n in range(1, 5):
        image = np.where(disc((40, 30), (20, 15), 3 * n), 200, 20).astype(np.uint8)
        Image.fromarray(image.T).save(folder / f"{n}.png")
    (folder / "junk<script>.png").write_bytes(b"no image")
    with caplog.at_level("INFO", logger="monai_semise"):
        infer(run_of(tmp_path / "run"), folder, tmp_path / "out", n_shown=3)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "junk&lt;script&gt;.png" in text
    assert text.count("<img ") == text.count('<img src="data:image/png;base64,') == 1 + 3 * 2
    names = [part.split("</h3>")[0] for part in text.split("<h3>")[1:]]
    assert names == ["1. 4.png", "2. 3.png", "3. 2.png"]
    assert sorted(path.name for path in (tmp_path / "out" / "heat_maps").iterdir()) == ["001.png", "002.png", "003.png"]
    overlay = np.asarray(Image.open(tmp_path / "out" / "heat_maps" / "001.png")).astype(int)
    assert overlay.shape == (288, 384, 3)  # as the picture's sides are to each other
    blue = (np.abs(overlay - [0, 191, 255]) < 3).all(axis=-1)
    rows, columns = np.nonzero(blue)
    assert (rows.max() + rows.min()) / 2 == pytest.approx(15.5 / 30 * 288, abs=8)
    assert (columns.max() - columns.min()) / 384 == pytest.approx(23 / 40, abs=0.03)
    (row,) = rows_of(tmp_path / "out" / "unreadable.csv")
    assert row["image"] == str(folder / "junk<script>.png")
    assert "cannot be read as an image" in row["reason"]
    assert "4 image(s) segmented, 1 could not be read" in caplog.text
    assert str(tmp_path / "out") in caplog.text


def test_nothing_found_and_nothing_readable(tmp_path):
    run = run_of(tmp_path / "run")
    Image.new("L", (20, 30)).save(tmp_path / "dark.png")
    infer(run, tmp_path / "dark.png", tmp_path / "out")
    (row,) = rows_of(tmp_path / "out" / "segmentation.csv")
    assert (row["present"], row["pixels"], row["predicted_share"], row["probability"]) == ("0", "0", "0", "")
    assert not np.asarray(Image.open(tmp_path / "out" / row["mask"])).any()
    assert "<section" not in (tmp_path / "out" / "report.html").read_text()
    (tmp_path / "junk.png").write_bytes(b"")
    infer(run, tmp_path / "junk.png", tmp_path / "none")
    assert rows_of(tmp_path / "none" / "segmentation.csv") == []
    assert "1 could not be read" in (tmp_path / "none" / "report.html").read_text()


# ---------------------------------------------------------------- what a user gets wrong


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask_format": "jpg"}, "mask_format: 'jpg' is not one of png, nifti, dicom_seg"),
        ({"mask_format": "png", "spatial_dims": 3}, "mask_format: png holds no volume; use nifti"),
        ({"mask_form": "png"}, 'unknown setting "mask_form"; did you mean "mask_format"'),
        ({"run_dir": "/nowhere"}, "run_dir: /nowhere holds no settings.json"),
        ({"input": "/nowhere"}, "input: /nowhere does not exist"),
    ],
)
def test_bad_settings(settings, message, tmp_path):
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)), tmp_path / "a.nii.gz")
    run = run_of(tmp_path / "run", **{k: v for k, v in settings.items() if k == "spatial_dims"})
    given = {"run_dir": str(run), "input": str(tmp_path / "a.nii.gz"), "output_dir": str(tmp_path / "out"), **settings}
    flow = ConfigWorkflow(str(CONFIG), logging_file=False, workflow_type="infer", **given)
    with pytest.raises(Exception) as raised:  # noqa: PT011 (MONAI wraps it)
        flow.initialize()
    assert message in str(find_semise_error(raised.value))


def test_dicom_seg_of_a_picture(tmp_path):
    pytest.importorskip("highdicom")
    Image.new("L", (20, 30)).save(tmp_path / "a.png")
    with pytest.raises(Exception) as raised:  # noqa: PT011
        infer(run_of(tmp_path / "run"), tmp_path / "a.png", tmp_path / "out", mask_format="dicom_seg")
    message = str(find_semise_error(raised.value))
    assert f"dicom_seg is for DICOM images, and {tmp_path / 'a.png'} is none" in message


def test_an_image_whose_true_mask_does_not_fit_is_listed(tmp_path):
    items = []
    for n in range(3):
        Image.new("L", (20, 30)).save(tmp_path / f"{n}.png")
        Image.new("L", (20, 30 + (n == 1))).save(tmp_path / f"m{n}.png")
        items.append({"image": f"{n}.png", "mask": f"m{n}.png"})
    write_json(tmp_path / "list.json", {"training": items[:1], "test": items[1:]})
    infer(run_of(tmp_path / "run"), tmp_path / "list.json", tmp_path / "out")
    assert [row["image"] for row in rows_of(tmp_path / "out" / "segmentation.csv")] == [str(tmp_path / "2.png")]
    (row,) = rows_of(tmp_path / "out" / "unreadable.csv")
    assert "the mask has size 20 x 31 and its image" in row["reason"]


# ---------------------------------------------------------------- the config itself


def without_masks(step):
    """A step of the training's preprocessing, of images alone."""
    keys = [key for key in ([step["keys"]] if isinstance(step["keys"], str) else step["keys"]) if key != "mask"]
    return {**step, "keys": keys[0] if len(keys) == 1 else keys} if keys else None


def test_images_are_prepared_as_in_training():
    load = json.loads((ROOT / "bundles" / "semise_segmentation.json").read_text())["load"]["transforms"]
    expected = [step for step in map(without_masks, load) if step is not None]
    assert json.loads(CONFIG.read_text())["preprocessing"]["transforms"] == expected


def test_every_setting_is_documented():
    page = (ROOT / "docs" / "settings.md").read_text()
    page = page.split("# Settings of `semise_segmentation_inference`")[1].split("\n# ")[0]
    config = json.loads(CONFIG.read_text())
    parts = {"imports", "bundle_root", "trained", "items", "network", "handlers", "initialize", "run"}
    settings = [key for key, value in config.items() if not isinstance(value, dict) and key not in parts]
    assert len(settings) > 10
    assert [key for key in settings if f"`{key}`" not in page] == []


def test_bundle_properties_are_complete(trained, tmp_path):
    flow = infer(trained[0], trained[1], tmp_path, n_shown=0)
    assert flow.check_properties() == []
