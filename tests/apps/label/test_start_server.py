# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""MONAI Label's own command on an app folder."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("monailabel")

import requests
from monailabel.client import MONAILabelClient

from monai_semise.apps.label.app_folder import make_app_folder
from tests.apps.label.served import packed, serving, studies


@pytest.mark.parametrize("app", [(), ("--uvicorn_app", "monai_semise.apps.label.server:app")], ids=["stock", "ours"])
def test_monailabel_start_server(tmp_path, app):
    folder = make_app_folder(tmp_path / "app", packed(tmp_path))
    images = str(studies(tmp_path / "studies"))
    command = ["-m", "monailabel.main", "start_server", "--app", str(folder), "--studies", images]
    with serving([*command, "--host", "127.0.0.1", *app], tmp_path) as url:
        client = MONAILabelClient(url, str(tmp_path))
        assert set(client.info()["models"]) == {"severity", "heat_map", "segmentation"}
        result = json.loads(client.infer("severity", "a", {})[1])
        assert result["severity"]["score"] > 0
        assert client.next_sample("informative_pair", {})["pair"]
        page = requests.get(f"{url}/compare/", timeout=60)
        assert page.ok == bool(app)  # the page is served by our application alone


def test_without_a_model_images_are_compared(tmp_path):
    images = str(studies(tmp_path / "studies"))
    command = ["-m", "monai_semise", "label", "--studies", images, "--app", str(tmp_path / "app")]
    with serving(command, tmp_path) as url:
        client = MONAILabelClient(url, str(tmp_path))
        assert client.info()["models"] == {}
        assert client.info()["trainers"] == {}
        pair = client.next_sample("informative_pair", {})["pair"]
        assert len(set(pair)) == 2
        answer = {"id": "1", "image_a": pair[0], "image_b": pair[1], "outcome": "left", "rater": "x", "seconds": 1}
        requests.post(f"{url}/compare/api/answers", json=answer, timeout=60).raise_for_status()
        rows = requests.get(f"{url}/compare/pairs.csv", timeout=60).text.splitlines()
        assert len(rows) == 2
        refused = requests.post(f"{url}/infer/severity", params={"image": "a"}, timeout=60)
        assert refused.status_code >= 400
        assert "Traceback" not in refused.text
