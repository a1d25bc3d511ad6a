# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import os
import random
import signal
import time

import pytest
from PIL import Image

from tests.utils.limits import disk_of

pytest.importorskip("monailabel")

from monai_semise.apps.label.datastore import StudyFolder

LIST = "datastore_v2.json"


@pytest.fixture
def folder(tmp_path):
    for n in range(40):
        Image.new("L", (4, 4)).save(tmp_path / f"p{n:02d}.png")
    return tmp_path


def opened(folder):
    return StudyFolder(str(folder), extensions=["*.png"], auto_reload=False)


def test_what_is_known_outlives_a_kill_at_any_time(folder):
    datastore = opened(folder)
    for image in datastore.list_images():
        datastore.update_image_info(image, {"grade": 2})
    draw = random.Random(0)
    for _ in range(25):
        process = os.fork()
        if process == 0:
            while True:
                for image in datastore.list_images():
                    datastore.update_image_info(image, {"severity": {"score": 0.5}})
        time.sleep(0.02 + 0.1 * draw.random())
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        assert len(json.loads((folder / LIST).read_text())["objects"]) == 40
    assert all(info["grade"] == 2 for info in opened(folder).image_infos().values())


def test_what_is_known_outlives_a_full_disk(folder):
    datastore = opened(folder)
    datastore.update_image_info("p00", {"grade": 2})
    with disk_of(100), pytest.raises(OSError, match="File too large"):
        datastore.update_image_info("p01", {"grade": 1})
    assert opened(folder).get_image_info("p00")["grade"] == 2


def test_a_change_of_a_label_keeps_what_another_process_wrote(folder):
    one, other = opened(folder), opened(folder)
    one.save_label("p00", str(folder / "p00.png"), "final", {})
    other.update_image_info("p01", {"grade": 3})
    one.update_label_info("p00", "final", {"by": "x"})
    assert opened(folder).get_image_info("p01")["grade"] == 3
    assert opened(folder).get_label_info("p00", "final")["by"] == "x"
