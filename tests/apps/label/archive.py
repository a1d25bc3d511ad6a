# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""A DICOMweb server to test with: Orthanc, as Debian has it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.apps.label.served import wait_for

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
    with open(folder / "orthanc.log", "w") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{ports[0]}"
            wait_for(lambda: process.poll() is not None or _answers(url), 60)
            assert process.poll() is None, (folder / "orthanc.log").read_text()[-3000:]
            yield f"{url}/dicom-web"
        finally:
            process.terminate()
            process.wait(30)


def store(url: str, path: Path) -> Any:
    """Put a DICOM file into the archive."""
    answer = requests.post(url.replace("/dicom-web", "/instances"), data=path.read_bytes(), timeout=60)
    answer.raise_for_status()
    return answer.json()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/system", timeout=10).ok
    except requests.ConnectionError:
        return False
