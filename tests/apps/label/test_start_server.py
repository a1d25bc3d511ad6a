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
