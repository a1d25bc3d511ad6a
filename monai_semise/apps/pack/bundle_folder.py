# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from monai.config import get_config_values

from monai_semise.apps.pack.kinds import KINDS, Kind
from monai_semise.apps.run_settings import read_run_settings
from monai_semise.utils import InputError, ensure_writable, load_checkpoint, save_checkpoint, write_json

__all__ = ["pack_run"]

LOCAL = ("datalist", "encoder", "imagenet_weights", "pairs")
"""Settings that name files of the machine the run was made on."""
REQUIRED = ("monai-semise", "pytorch-ignite", "nibabel", "pydicom", "itk", "pandas", "scikit-learn", "matplotlib", "tqdm")


def pack_run(
    run_dir: str | os.PathLike, out: str | os.PathLike, bundles: str | os.PathLike, version: str = "0.1.0"
) -> Path:
    """Make a MONAI bundle folder of a finished training run.

    The folder holds ``LICENSE``, ``configs/`` (``metadata.json``, ``train.json``, ``inference.json``,
    ``logging.conf``), ``docs/README.md`` and ``models/`` (``model.pt`` and what inference reads beside it). It appears
    whole or not at all, and names no file of this machine: neither the datalist nor the training images.

    Args:
        run_dir: output folder of the run.
        out: folder in which the bundle folder is made; one of an earlier run is replaced.
        bundles: folder with the configs that this package is shipped with.
        version: of the bundle.

    Returns:
        the bundle folder.

    Raises:
        InputError: when the run is not finished, or a config is missing.
    """
    run_dir, bundles, out = Path(run_dir), Path(bundles), ensure_writable(out, option="--out")
    settings = read_run_settings(run_dir)
    name = str(settings.get("bundle"))
    if name not in KINDS:
        raise InputError(f"run_dir: {run_dir} is of a run of {name!r}, not of {', '.join(KINDS)}; train again")
    kind = KINDS[name]
    for file in (run_dir / "model.pt", *(bundles / f"{config}.json" for config in (name, kind.inference, "metadata"))):
        if not file.is_file():
            raise InputError(f"{file}: no such file; name the folder of the configs with --bundles, or train again")
    shared = {key: value for key, value in settings.items() if key not in LOCAL}
    work = Path(tempfile.mkdtemp(dir=out, prefix=f".{kind.folder}."))
    try:
        folder = work / kind.folder
        for part in ("configs", "docs", "models"):
            (folder / part).mkdir(parents=True)
        (folder / "LICENSE").write_text(_license(), encoding="utf-8")
        shutil.copy(bundles / f"{name}.json", folder / "configs" / "train.json")
        shutil.copy(bundles / "logging.conf", folder / "configs" / "logging.conf")
        write_json(folder / "configs" / "inference.json", _inference(bundles / f"{kind.inference}.json", shared))
        base = json.loads((bundles / "metadata.json").read_text(encoding="utf-8"))
        metadata = _metadata(base, kind, settings, version)
        write_json(folder / "configs" / "metadata.json", metadata)
        shutil.copy(run_dir / "model.pt", folder / "models" / "model.pt")
        for file in kind.files:
            _copy_model_file(run_dir / file, folder / "models" / file)
        summary = run_dir / "summary.json"
        _write_readme(folder / "docs" / "README.md", kind, metadata, shared, summary)
        final = out / kind.folder
        if final.exists():
            final.rename(work / "earlier")
        folder.chmod(0o755)
        folder.rename(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return final


def _inference(config: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The inference config with the run's settings in it, and its files in ``models/``."""
    content = json.loads(config.read_text(encoding="utf-8"))
    return {**content, "trained": dict(settings), "run_dir": "$str(Path(@bundle_root) / 'models')"}


def _metadata(base: Mapping[str, Any], kind: Kind, settings: Mapping[str, Any], version: str) -> dict[str, Any]:
    versions = get_config_values()
    image = {
        **base["network_data_format"]["inputs"]["image"],
        "num_channels": settings["in_channels"],
        "spatial_shape": [settings["image_size"]] * settings["spatial_dims"],
        "channel_def": {str(n): f"channel {n}" for n in range(settings["in_channels"])},
    }
    output = {"dtype": "float32", "value_range": [], "is_patch_data": False, **kind.output(settings)}
    return {
        **base,
        "name": kind.title,
        "version": version,
        "changelog": {version: "packed from a training run"},
        "monai_version": versions["MONAI"].split("+")[0],
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": numpy.__version__,
        "required_packages_version": {package: importlib.metadata.version(package) for package in REQUIRED},
        "task": kind.title,
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": output}},
    }


def _copy_model_file(source: Path, target: Path) -> None:
    """Copy a file of the run, where it has it; of training images, only grades and embeddings."""
    if not source.is_file():
        return
    if source.name == "training_embeddings.pt":
        content = load_checkpoint(source)
        content["images"] = [f"training image {n}" for n in range(1, len(content["images"]) + 1)]
        save_checkpoint(target, content)
    else:
        shutil.copy(source, target)


def _write_readme(
    path: Path, kind: Kind, metadata: Mapping[str, Any], settings: Mapping[str, Any], summary: Path
) -> None:
    measures = json.loads(summary.read_text(encoding="utf-8")) if summary.is_file() else {}
    page = Environment(
        loader=PackageLoader("monai_semise.apps.pack"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template("README.md")
    text = page.render(kind=kind, metadata=metadata, settings=settings, evaluations=_evaluations(measures))
    path.write_text(text, encoding="utf-8")


def _evaluations(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluation of each section: of a classification run the section itself, of a pretraining run a part of it."""
    found = {name: section.get("evaluation", section) for name, section in summary.items()}
    return {name: evaluation for name, evaluation in found.items() if "rows" in evaluation}


def _license() -> str:
    for file in importlib.metadata.files("monai-semise") or []:
        if file.name == "LICENSE":
            return file.read_text(encoding="utf-8")
    raise InputError("the installed monai-semise has no LICENSE file; install it again")
