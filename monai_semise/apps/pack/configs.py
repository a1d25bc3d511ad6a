# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What goes into the ``configs`` folder of a bundle."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from monai.bundle import ConfigParser
from monai.config import get_config_values

from monai_semise.apps.pack.kinds import Kind, channel_names, network_size
from monai_semise.utils import InputError

__all__ = ["ENCODER", "LOCAL", "inference_config", "metadata", "training_config"]

ENCODER = "encoder.pt"
"""File in ``models/`` that training on other images starts from."""
LOCAL = ("datalist", "encoder", "imagenet_weights", "pairs", "comparisons")
"""Settings that name files of the machine the run was made on."""
REQUIRED = (
    *("monai-semise", "pytorch-ignite", "nibabel", "pydicom", "itk", "pandas", "scikit-learn"),
    *("matplotlib", "tensorboard", "tqdm"),
)


def inference_config(path: str | os.PathLike, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The shipped inference config with the run's settings in it, and its files in ``models/``.

    Args:
        path: of the shipped config, which reads settings of the run as ``"name": "$@trained['name']"``, and those that
            not every run has as ``"name": "$@trained.get('name')"``.
        settings: of the run.

    Raises:
        InputError: when the run lacks a setting.
    """
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    del content["trained"]
    wanted = [name for name, value in content.items() if value == f"$@trained['{name}']"]
    missing = [name for name in wanted if name not in settings]
    if missing:
        raise InputError(f"run_dir: the run's settings lack {', '.join(missing)}; train again")
    optional = [name for name, value in content.items() if value == f"$@trained.get('{name}')"]
    content |= {name: settings.get(name) for name in (*wanted, *optional)}
    return _loadable({**content, "run_dir": "$str(Path(@bundle_root) / 'models')"})


def training_config(paths: Sequence[str | os.PathLike], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The shipped training config with the run's settings in it.

    Its network needs no file, so that ``monai.bundle.load`` builds it in any folder; the encoder is loaded in a run.

    Args:
        paths: of the shipped config and the overlays of the run.
        settings: of the run, without those that name files.
    """
    content: dict[str, Any] = ConfigParser.load_config_files([str(path) for path in paths])
    content.pop("_desc_", None)  # of an overlay
    network = content["network_def"]
    if network.pop("encoder_weights", None) is not None:
        content["encoder"] = f"$str(Path(@bundle_root) / 'models' / '{ENCODER}')"
        seeded = next(n for n, step in enumerate(content["initialize"]) if "set_determinism" in step)
        load = "monai_semise.networks.load_encoder_weights(@network_def.encoder, @encoder)"
        content["initialize"].insert(seeded + 1, f"$@encoder not in (None, 'null') and {load}")
    # beside the settings of the training, what the network is built of, though it may come from the datalist
    kept = {*content["settings"], *re.findall(r"@(\w+)", json.dumps(network))}
    own = {name: settings[name] for name in content if name in kept & settings.keys()}
    if own.get("augment") is None:  # another transform than ours, which settings cannot hold
        own.pop("augment", None)
    return _loadable({**content, **own})


def metadata(base: Mapping[str, Any], kind: Kind, settings: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Content of ``metadata.json``, valid against MONAI's schema 20240725.

    Args:
        base: what all bundles have in common.
        kind: of the run.
        settings: of the run.
        version: of the bundle.
    """
    image = {
        **base["network_data_format"]["inputs"]["image"],
        "num_channels": settings["in_channels"],
        "spatial_shape": network_size(settings),
        "is_patch_data": "window" in settings,
        "channel_def": channel_names([f"channel {n}" for n in range(settings["in_channels"])]),
    }
    output = {"dtype": "float32", "value_range": [], "is_patch_data": image["is_patch_data"], **kind.output(settings)}
    return {
        **base,
        "name": kind.title,
        "version": version,
        "changelog": {version: "packed from a training run"},
        "monai_version": _release(get_config_values()["MONAI"]),
        "pytorch_version": _release(torch.__version__),
        "numpy_version": numpy.__version__,
        "required_packages_version": {package: importlib.metadata.version(package) for package in REQUIRED},
        "task": kind.task,
        "description": kind.description,
        "references": list(kind.references),
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": output}},
    }


def _loadable(config: dict[str, Any]) -> dict[str, Any]:
    """The config with everything in ``run``: ``monai.bundle.load`` runs ``initialize``, though there be no images."""
    return {**config, "initialize": [], "run": [*config["initialize"], *config["run"]]}


def _release(version: str) -> str:
    """Without the name of the build, such as ``+cpu``."""
    return version.split("+")[0]
