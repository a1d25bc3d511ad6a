# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""A real MONAI Label server with small untrained models, on a few pictures."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from PIL import Image

from monai_semise.apps.pack import pack_run
from monai_semise.apps.run_settings import write_run_settings
from monai_semise.networks import SegmentationUNet
from monai_semise.severity import SeverityCalibrator
from monai_semise.utils import save_checkpoint, write_json
from tests.apps.label.background import background, requests, wait_for
from tests.apps.pack import runs
from tests.data.dicom_files import write_dicom, write_series

AFFINE = np.diag([0.7, 0.7, 3.0, 1.0])
"""Of a series, LPS."""


def outliner(folder: Path, spatial_dims: int = 2) -> Path:
    """A folder like that of a segmentation run, whose network has only seen noise, and finds something everywhere."""
    decoder = [16, 16, 8, 8, 8]
    shown = {"backbone": "resnet10", "spatial_dims": spatial_dims, "in_channels": 1, "decoder_channels": decoder}
    torch.manual_seed(0)
    network = SegmentationUNet(out_channels=2, **shown)
    save_checkpoint(folder / "model.pt", network.state_dict())
    write_run_settings(
        folder,
        {
            "bundle": "semise_segmentation",
            "image_size": 32,
            "mammography": False,
            "local_contrast": False,
            "structures": ["lesion", "disc"],
            "exclusive": False,
            **shown,
        },
    )
    return folder


def scorer(folder: Path) -> Path:
    """A folder like that of a pretraining run, with a calibration."""
    run = runs.untrained(folder)
    score = np.linspace(0, 2, 60)
    calibrator = SeverityCalibrator(coverage=0.9, n_grades=2).fit(score, [n // 30 for n in range(60)])
    write_json(run / "calibration.json", calibrator.to_dict())
    return run


def studies(folder: Path) -> Path:
    """Pictures of three sizes, one under a name that nobody expects, a volume, a DICOM file, and a DICOM series."""
    folder.mkdir()
    for n, name in enumerate(("a", "b", "%2e%2e Läsion .png.")):
        Image.radial_gradient("L").resize((40 + n, 50)).save(folder / f"{name}.png")
    for n in range(24):
        Image.linear_gradient("L").rotate(10 * n).resize((32, 32)).save(folder / f"p{n:02d}.png")
    random = np.random.default_rng(0)
    nib.save(nib.Nifti1Image(random.random((30, 20, 1), dtype=np.float32), np.eye(4)), folder / "v.nii.gz")
    write_dicom(folder / "IM0001", random.integers(4096, size=(30, 20), dtype=np.uint16))
    write_series(folder / "1.2.3", random.integers(4096, size=(20, 24, 3), dtype=np.uint16), AFFINE)
    return folder


def packed(folder: Path) -> tuple[Path, Path]:
    """A severity and a segmentation bundle of untrained networks, made under ``folder``."""
    severity = pack_run(scorer(folder / "severity run"), folder / "packed", runs.BUNDLES)
    return severity, pack_run(outliner(folder / "segmentation run"), folder / "packed", runs.BUNDLES)


@contextmanager
def server(folder: Path, images: str, env: dict[str, str] | None = None, *options: str) -> Iterator[str]:
    """Serve ``images`` from models made under ``folder``; gives the address."""
    severity, segmentation = packed(folder)
    command = ["-m", "monai_semise", "label", "--studies", images, "--app", str(folder / "app")]
    command += ["--severity", str(severity), "--segmentation", str(segmentation), *options]
    with serving(command, folder, env) as url:
        yield url


def infer_all(url: str, model: str) -> None:
    """Run a model on every image of a server, and wait until it is done."""
    status = f"{url}/batch/infer"
    requests.post(f"{status}/{model}", json={"max_workers": 1}, timeout=60).raise_for_status()
    wait_for(lambda: requests.get(status, timeout=60).json()["status"] not in ("SUBMITTED", "RUNNING"), 240)
    task = requests.get(status, timeout=60).json()
    assert task["status"] == "DONE", task


def image_info(url: str, image: str) -> dict[str, Any]:
    """What a server knows of an image."""
    return requests.get(f"{url}/datastore/image/info", params={"image": image}, timeout=60).json()


@contextmanager
def serving(command: list[str], folder: Path, env: dict[str, str] | None = None) -> Iterator[str]:
    """Run Python with the arguments of a server at a free port, without network; gives the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"}
    given = {**os.environ, **offline, "OMP_NUM_THREADS": "1", "HOME": str(folder), **(env or {})}
    url = f"http://127.0.0.1:{port}"
    with background([sys.executable, *command, "--port", str(port)], f"{url}/", folder / "server.log", 240, given):
        yield url
