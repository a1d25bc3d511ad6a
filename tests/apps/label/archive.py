# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""A DICOMweb server to test with: Orthanc, as Debian has it."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.apps.label.background import background

requests = pytest.importorskip("requests", reason="comes with MONAI Label")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@contextmanager
def archive(folder: Path) -> Iterator[str]:
    """An empty one; gives the address of its DICOMweb."""
    if not shutil.which("Orthanc") or not PLUGIN.exists():
        pytest.skip("needs Orthanc with its DICOMweb plugin")
    with socket.create_server(("127.0.0.1", 0)) as http, socket.create_server(("127.0.0.1", 0)) as dicom:
        ports = http.getsockname()[1], dicom.getsockname()[1]
    settings = {
        "HttpPort": ports[0],
        "DicomPort": ports[1],
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    url = f"http://127.0.0.1:{ports[0]}"
    with background(["Orthanc", str(folder / "orthanc.json")], f"{url}/system", folder / "orthanc.log", 60):
        yield f"{url}/dicom-web"


def store(url: str, path: Path) -> Any:
    """Put a DICOM file into the archive."""
    answer = requests.post(url.replace("/dicom-web", "/instances"), data=path.read_bytes(), timeout=60)
    answer.raise_for_status()
    return answer.json()
