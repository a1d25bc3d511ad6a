# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from monai_semise.apps.pack import pack_run
from monai_semise.utils import InputError, load_checkpoint, save_checkpoint
from tests.apps.pack import runs
from tests.data.dicom_files import write_dicom, write_series

pytest.importorskip("monailabel")

from monai_semise.apps.label.infer_tasks import HeatMapTask, SegmentationTask, SeverityTask
from monai_semise.apps.label.packed_model import PackedModel
from tests.apps.label.served import AFFINE, outliner

VOLUME = np.random.default_rng(0).integers(4096, size=(40, 36, 33), dtype=np.uint16)


@pytest.fixture(scope="module", params=[2, 3])
def models(request, tmp_path_factory):
    """Severity and segmentation of as many axes as the parameter says, and this number."""
    folder = tmp_path_factory.mktemp("models")
    severity = runs.untrained(folder / "severity", spatial_dims=request.param)
    outlines = outliner(folder / "outlines", request.param)
    return request.param, *(PackedModel(pack_run(run, folder / "packed", runs.BUNDLES)) for run in (severity, outlines))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A volume as NIfTI, as a DICOM series, and a single DICOM image."""
    folder = tmp_path_factory.mktemp("files")
    nib.save(nib.Nifti1Image(VOLUME.astype(np.float32), np.diag([-0.7, -0.7, 3, 1])), folder / "volume.nii.gz")
    write_series(folder / "series", VOLUME, AFFINE)
    write_dicom(folder / "image.dcm", VOLUME[:, :, 0].T)
    return folder


def test_severity_of_a_series(models, files):
    axes, severity, _ = models
    file, found = SeverityTask(severity)({"image": str(files / "series")})
    assert file is None
    assert found["severity"]["score"] > 0
    assert found["severity"]["n_images"] == (1 if axes == 3 else VOLUME.shape[2])


def test_severity_and_outlines_of_a_volume(models, files):
    axes, severity, outlines = models
    request = {"image": str(files / "volume.nii.gz")}
    if axes == 2:
        with pytest.raises(InputError, match="has 3 axes where spatial_dims is 2"):
            SeverityTask(severity)(request)
        return
    assert SeverityTask(severity)(request)[1]["severity"]["score"] > 0
    for source in ("volume.nii.gz", "series"):
        file, found = SegmentationTask(outlines)({"image": str(files / source)})
        mask = nib.load(file)
        assert mask.shape == VOLUME.shape
        assert np.abs(mask.affine) == pytest.approx(np.abs(nib.load(files / "volume.nii.gz").affine), abs=1e-5)
        assert set(np.unique(np.asarray(mask.dataobj))) <= {0, 1, 2}
        assert [entry["structure"] for entry in found["structures"]] == ["lesion", "disc"]


def test_outlines_and_heat_map_of_a_dicom_image(models, files):
    axes, severity, outlines = models
    if axes == 3:
        pytest.skip("a volume is wanted")
    file, _ = SegmentationTask(outlines)({"image": str(files / "image.dcm")})
    assert nib.load(file).shape[:2] == VOLUME.shape[:2]
    file, found = HeatMapTask(severity)({"image": str(files / "image.dcm")})
    with open(file, "rb") as stream:
        assert stream.read(4) == b"\x89PNG"
    assert found["score"] > 0


def test_a_series_is_not_outlined_image_by_image(models, files):
    axes, _, outlines = models
    if axes == 3:
        pytest.skip("it is one volume")
    with pytest.raises(InputError, match="33 images in one series, and the network outlines single ones"):
        SegmentationTask(outlines)({"image": str(files / "series")})


def test_what_cannot_be_read(models, tmp_path):
    (tmp_path / "a.png").write_text("<script>")
    with pytest.raises(InputError, match=r"a\.png"):
        SeverityTask(models[1])({"image": str(tmp_path / "a.png")})


def test_new_weights_are_seen(models, files):
    axes, severity, _ = models
    request = {"image": str(files / ("series" if axes == 3 else "image.dcm"))}
    before = SeverityTask(severity)(request)[1]["severity"]["score"]
    kept = severity.weights.read_bytes()
    state = load_checkpoint(severity.weights)
    save_checkpoint(severity.weights, {**state, "healthy_reference": -state["healthy_reference"]})
    assert SeverityTask(severity)(request)[1]["severity"]["score"] != pytest.approx(before)
    severity.weights.write_bytes(kept)
