# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""The app itself, without a server."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from monai_semise.apps.pack import pack_run
from tests.apps.pack import runs
from tests.data.dicom_files import write_dicom

pytest.importorskip("monailabel")

from monailabel.config import settings

from monai_semise.apps.label.app_folder import make_app_folder
from monai_semise.apps.label.main import SemiseApp


@pytest.fixture
def make_app(tmp_path, monkeypatch):
    """An app with a severity model, on the images in ``tmp_path / "studies"``."""
    monkeypatch.setattr(settings, "MONAI_LABEL_DATASTORE_FILE_EXT", ["*.png", "*.dcm"])
    monkeypatch.setattr(settings, "MONAI_LABEL_DATASTORE_AUTO_RELOAD", False)

    def make():
        bundle = pack_run(runs.untrained(tmp_path / "run"), tmp_path / "packed", runs.BUNDLES)
        return SemiseApp(str(make_app_folder(tmp_path / "app", [bundle])), str(tmp_path / "studies"), {})

    return make


@pytest.mark.parametrize("max_workers", [1, 2])
def test_batch_inference_goes_on_after_an_image_that_cannot_be_read(make_app, tmp_path, max_workers, caplog):
    (tmp_path / "studies").mkdir()
    for name in "abd":
        Image.radial_gradient("L").resize((32, 32)).save(tmp_path / "studies" / f"{name}.png")
    (tmp_path / "studies" / "c.png").write_text("no image")
    app = make_app()
    result = app.batch_infer({"model": "severity", "max_workers": max_workers})
    assert {name for name, found in result.items() if found == {}} == {"c"}
    scored = {name for name in "abcd" if "severity" in app.datastore().get_image_info(name)}
    assert scored == {"a", "b", "d"}
    assert "c: left out" in caplog.text


def test_a_series_of_images_that_are_no_volume_is_scored(make_app, tmp_path):
    random = np.random.default_rng(0)
    for n, shape in enumerate([(40, 30), (50, 20)]):
        folder = tmp_path / "studies" / "views"
        folder.mkdir(parents=True, exist_ok=True)
        write_dicom(folder / f"{n}.dcm", random.integers(4096, size=shape, dtype=np.uint16), SeriesInstanceUID="1.2.3")
    app = make_app()
    assert app.infer({"model": "severity", "image": "views"})["params"]["severity"]["score"] > 0
    assert app.next_sample({"strategy": "most_severe"})["id"] == "views"
