# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ckpt_export, onnx_export
from monai.utils import optional_import
from torch import Tensor

from monai_semise.apps.pack.packed_network import load_network
from monai_semise.utils import InputError

__all__ = ["EXPORTS", "export_network"]

TOLERANCE = 1e-4


def export_network(folder: Path, export: str) -> Path:
    """Write the network of a bundle folder in a format that needs neither this package nor MONAI.

    MONAI's ``ckpt_export`` or ``onnx_export`` writes it; the paths of this machine's source files are taken out. Any
    number of images can be given to it at a time, of the size in ``metadata.json``, in 2D and 3D.

    Args:
        folder: of the bundle, with ``configs/inference.json``, ``configs/metadata.json`` and ``models/model.pt``.
        export: key of ``EXPORTS``.

    Returns:
        the file, ``models/model.ts`` or ``models/model.onnx``.

    Raises:
        InputError: when a package is missing, the network cannot be exported, or the export computes something else.
    """
    files: dict[str, Any] = {
        "config_file": str(folder / "configs" / "inference.json"),
        "meta_file": str(folder / "configs" / "metadata.json"),
        "ckpt_file": str(folder / "models" / "model.pt"),
    }
    network = load_network(folder)
    image_format = json.loads(Path(files["meta_file"]).read_text())["network_data_format"]["inputs"]["image"]
    shape = (2, image_format["num_channels"], *image_format["spatial_shape"])
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(images)
    name, write = EXPORTS[export]
    path = folder / "models" / name
    try:
        with _quiet():
            found = write(path, files, images)
    except InputError:
        raise
    except Exception as error:  # the exporters raise what they please
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(
            f"--export {export}: this {type(network).__name__} cannot be exported ({reason}); leave out {export}"
        ) from error
    if not torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
        difference = float((found - expected).abs().max())
        raise InputError(
            f"--export {export}: the exported network is off by up to {difference:.2g}; leave out {export}"
        )
    return path


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters log: files under passing names, and packages that are not needed."""
    loggers = [logging.getLogger(name) for name in ("monai.bundle.scripts", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def _torchscript(path: Path, files: Mapping[str, Any], images: Tensor) -> Tensor:
    ckpt_export("network_def", filepath=str(path), **files)
    whole = path.with_suffix(".whole")
    path.rename(whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):  # paths of source files
                target.writestr(entry, source.read(entry))
    whole.unlink()
    with torch.inference_mode():
        return torch.jit.load(str(path), map_location="cpu")(images)


def _onnx(path: Path, files: Mapping[str, Any], images: Tensor) -> Tensor:
    # not at the top of the file: they take half a second, which every command would wait for
    onnx_ir, has_onnx_ir = optional_import("onnx_ir")
    clear_pass, _ = optional_import("onnx_ir.passes.common", name="ClearMetadataAndDocStringPass")
    onnxruntime, has_onnxruntime = optional_import("onnxruntime")
    if not (has_onnx_ir and has_onnxruntime):
        raise InputError("--export onnx: needs onnx, onnxscript and onnxruntime; pip install monai-semise[onnx]")
    settings = {
        "input_names": ["image"],
        "output_names": ["pred"],
        "dynamic_shapes": ({0: torch.export.Dim("batch")},),
        "dynamo": True,
        "external_data": False,  # else MONAI leaves the weights behind in the folder of temporary files
        "verbose": False,
    }
    onnx_export(
        "network_def",
        filepath=str(path),
        use_trace=True,  # passes the settings on
        input_shape=list(images.shape),
        converter_kwargs=settings,
        **files,
    )
    onnx_ir.save(clear_pass()(onnx_ir.load(path)).model, path)  # traces name source files
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["pred"], {"image": images.numpy()})[0])


EXPORTS: dict[str, tuple[str, Callable[[Path, Mapping[str, Any], Tensor], Tensor]]] = {
    "torchscript": ("model.ts", _torchscript),
    "onnx": ("model.onnx", _onnx),
}
"""File and writer of each format; a writer returns what its file makes of the images."""
