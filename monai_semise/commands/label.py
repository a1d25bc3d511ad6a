# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from monai.utils import optional_import

from monai_semise.apps.datasets.dicom_files import DICOM_SUFFIXES
from monai_semise.apps.datasets.image_files import FLAT_SUFFIXES, VOLUME_SUFFIXES
from monai_semise.apps.label.app_folder import MODELS, make_app_folder
from monai_semise.comparison.session import RATES, check_share
from monai_semise.utils import InputError

__all__ = ["add_parser", "run"]

SERVER = "monai_semise.apps.label.server:app"


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Define ``python -m monai_semise label``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "label",
        help="serve images for labelling with MONAI Label, by severity and by comparison",
        description="Start a MONAI Label server with trained models, and a page to compare images on. It needs the "
        "extra monai-semise[label], in an environment of its own.",
    )
    parser.add_argument("--studies", required=True, help="folder of images, or address of a DICOMweb server")
    parser.add_argument("--severity", type=Path, metavar="FOLDER", help="packed bundle that scores or grades images")
    parser.add_argument("--segmentation", type=Path, metavar="FOLDER", help="packed bundle that outlines lesions")
    parser.add_argument(
        "--app",
        type=Path,
        default=Path("semise_label"),
        metavar="FOLDER",
        help="where models and comparisons are kept (default semise_label)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, default=8000, help="default 8000")
    for name, pairs in zip(RATES, ("the rater has answered before", "another rater has answered")):
        parser.add_argument(
            f"--{name}", type=float, default=0.05, metavar="SHARE", help=f"of pairs that {pairs} (default 0.05)"
        )
    return parser


def run(arguments: argparse.Namespace) -> None:
    """Serve until stopped."""
    remote = arguments.studies.startswith(("http://", "https://"))
    if not remote and not Path(arguments.studies).is_dir():
        raise InputError(f"--studies: {arguments.studies} is neither a folder nor an address")
    for name in RATES:
        check_share(f"--{name}", getattr(arguments, name))
    endings = [f"*{suffix}" for suffix in (*FLAT_SUFFIXES, *VOLUME_SUFFIXES, *DICOM_SUFFIXES)]
    # Settings of MONAI Label, which reads them when it is imported; those of the user go first
    os.environ.setdefault("MONAI_LABEL_DATASTORE_FILE_EXT", json.dumps(endings))
    os.environ.setdefault("MONAI_LABEL_DICOMWEB_SEARCH_FILTER", "{}")  # else CT alone
    monailabel, installed = optional_import("monailabel.main", name="Main")
    if not installed:
        raise InputError('label: needs MONAI Label; pip install "monai-semise[label]" in an environment of its own')
    _check_free(arguments.host, arguments.port)
    folder = make_app_folder(arguments.app, [path for path in (arguments.severity, arguments.segmentation) if path])
    if not any((folder / MODELS).iterdir()):
        print("No model: images can be compared, graded and outlined by hand; --severity names one.", flush=True)
    os.environ["PATH"] += f"{os.pathsep}{Path(sys.executable).parent}"  # of what writes DICOM SEG
    given = {
        "app": folder,
        "studies": arguments.studies if remote else os.path.abspath(arguments.studies),
        "host": arguments.host,
        "port": arguments.port,
        "uvicorn_app": SERVER,
    }
    server = monailabel()
    options = [f"--{name}={value}" for name, value in given.items()]
    for name in RATES:
        options += ["--conf", name, str(getattr(arguments, name))]
    parsed = server.args_parser().parse_args(["start_server", *options])
    url = f"http://{arguments.host}:{arguments.port}"
    print(f"Images: {url}/  Comparisons: {url}/compare/  Stop with Ctrl-C.", flush=True)
    server.action_start_server(parsed)


def _check_free(host: str, port: int) -> None:
    """Check that nothing else listens there, before the models are loaded."""
    try:
        socket.create_server((host, port)).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--host, --port: cannot listen on {host}:{port} ({error}); stop what does, or name another --port"
        ) from error
