# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from monai_semise.apps.pack.configs import ENCODER, LOCAL, inference_config, metadata, training_config
from monai_semise.apps.pack.exports import export_network
from monai_semise.apps.pack.kinds import KINDS
from monai_semise.apps.pack.packed_network import load_network
from monai_semise.apps.pack.readme_page import readme_text
from monai_semise.apps.run_settings import read_run_settings
from monai_semise.utils import InputError, ensure_writable, load_checkpoint, save_checkpoint, write_json, write_whole

__all__ = ["pack_run"]

PARTS = ("LICENSE", "configs", "docs", "models")
"""What a bundle folder holds."""
ENCODER_PREFIX = "encoder."


def pack_run(
    run_dir: str | os.PathLike,
    out: str | os.PathLike,
    bundles: str | os.PathLike,
    version: str = "0.1.0",
    exports: Sequence[str] = (),
) -> Path:
    """Make a MONAI bundle folder of a finished training run.

    The folder holds ``LICENSE``, ``configs/`` (``metadata.json``, ``train.json``, ``inference.json``,
    ``logging.conf``), ``docs/README.md`` and ``models/`` (``model.pt``, ``encoder.pt`` and what inference reads beside
    them). It appears whole or not at all, and names no file of this machine: neither the datalist nor the training
    images. Weights are kept for the CPU, wherever they were trained.

    Args:
        run_dir: output folder of the run.
        out: folder in which the bundle folder is made; one of an earlier run is replaced.
        bundles: folder with the configs that this package is shipped with.
        version: of the bundle, three numbers.
        exports: formats to write the network in as well, see :func:`monai_semise.apps.pack.export_network`.

    Returns:
        the bundle folder.

    Raises:
        InputError: when the run is not finished or was made of parts of two, a config is missing, something else is in
            the way, or an export fails.
    """
    run_dir, bundles = Path(run_dir), Path(bundles)
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise InputError(f"version: {version!r} is not three numbers like 0.1.0")
    settings = read_run_settings(run_dir)
    name = str(settings.get("bundle"))
    if name not in KINDS:
        raise InputError(f"run_dir: {run_dir} is of a run of {name!r}, not of {', '.join(KINDS)}; train again")
    kind = KINDS[name]
    state = load_checkpoint(run_dir / "model.pt")
    out = ensure_writable(out, option="--out")
    final = out / kind.folder
    _check_free(final)
    with tempfile.TemporaryDirectory(dir=out, prefix=f".{kind.folder}.", ignore_cleanup_errors=True) as work:
        folder = Path(work) / kind.folder
        page = _write_configs(folder, bundles, name, settings, version)
        (folder / "LICENSE").write_text(_license(), encoding="utf-8")
        save_checkpoint(folder / "models" / "model.pt", state)
        encoder = {
            key.removeprefix(ENCODER_PREFIX): value for key, value in state.items() if key.startswith(ENCODER_PREFIX)
        }
        save_checkpoint(folder / "models" / ENCODER, encoder)
        for file in kind.files:
            copy_model_file(run_dir / file, folder / "models" / file)
        load_network(folder)  # proves that the weights fit the settings
        exported = [export_network(folder, export) for export in exports]
        text = readme_text(kind, page, settings, _summary(run_dir), [str(p.relative_to(folder)) for p in exported])
        with write_whole(folder / "docs" / "README.md") as stream:
            stream.write(text)
        with ExitStack() as undo:
            if final.exists():
                earlier = final.rename(Path(work) / "earlier")
                undo.callback(earlier.rename, final)
            folder.rename(final)
            undo.pop_all()
    return final


def _check_free(folder: Path) -> None:
    """Check that nothing lies there but the bundle folder of an earlier run.

    Raises:
        InputError: when there is something that would be lost.
    """
    if not folder.exists():
        return
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else {"something else"}
    lost = sorted(found - set(PARTS))
    if lost:
        raise InputError(f"out: {folder} holds {', '.join(lost)}; move that elsewhere, or name another --out")


def _write_configs(folder: Path, bundles: Path, name: str, settings: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Write the folder ``configs``.

    Returns:
        content of ``metadata.json``.
    """
    kind = KINDS[name]
    overlay = kind.overlay(settings)
    training = [bundles / f"{name}.json", *([bundles / overlay] if overlay else [])]
    inference, base, log = (bundles / file for file in (f"{kind.inference}.json", "metadata.json", "logging.conf"))
    enclosed = [bundles / file for file in kind.enclosed]
    for file in (*training, *enclosed, inference, base, log):
        if not file.is_file():
            raise InputError(f"bundles: {file} does not exist; name the folder of the shipped configs with --bundles")
    configs = folder / "configs"
    shared = {key: value for key, value in settings.items() if key not in LOCAL}
    write_json(configs / "inference.json", inference_config(inference, shared))
    write_json(configs / "train.json", training_config(training, shared))
    page = metadata(json.loads(base.read_text(encoding="utf-8")), kind, shared, version)
    write_json(configs / "metadata.json", page)
    for file in (*enclosed, log):
        shutil.copy(file, configs / file.name)
    return page


def copy_model_file(source: Path, target: Path) -> None:
    """Copy a file that inference reads; of training images, only grades and embeddings."""
    if source.name == "training_embeddings.pt":
        content = load_checkpoint(source)
        names = [f"training image {n}" for n in range(1, len(content["images"]) + 1)]
        save_checkpoint(target, {"images": names, **{key: content[key] for key in ("severity", "embedding")}})
    elif source.is_file():  # a run with few graded validation images has no calibration
        shutil.copy(source, target)


def _summary(run_dir: Path) -> dict[str, Any]:
    path = run_dir / "summary.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _license() -> str:
    for file in importlib.metadata.files("monai-semise") or []:
        if file.name == "LICENSE":
            return file.read_text(encoding="utf-8")
    raise InputError("the installed monai-semise has no LICENSE file; install it again")
