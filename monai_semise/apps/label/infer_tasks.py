# Copyright (c) monai_semise contributors
# SPDX-License-Identifier: Apache-2.0

"""What the server infers of an image; each task takes a request with ``image`` and returns a file or None, and JSON."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from monai_semise.apps.label.packed_model import Inference, PackedModel
from monai_semise.utils import InputError
from monai_semise.visualize import overlay_png, severity_heat_maps

__all__ = ["HeatMapTask", "SegmentationTask", "SeverityTask"]

Result = tuple[str | None, dict[str, Any]]


class PackedTask(InferTask):
    """A task of a packed bundle.

    Args:
        model: the bundle.
        kind: MONAI Label's type of the task.
        description: for people.
    """

    def __init__(self, model: PackedModel, kind: InferType, description: str) -> None:
        super().__init__(kind, model.labels, model.config["spatial_dims"], description)
        self.model = model

    def is_valid(self) -> bool:
        """Whether the weights are there."""
        return self.model.weights.is_file()

    def get_path(self, validate: bool = True) -> str:
        """File of the weights."""
        return str(self.model.weights)

    def __call__(self, request: Mapping[str, Any]) -> Result:
        """Infer ``request["source"]``, or else ``request["image"]``."""
        return self.model.infer(str(request.get("source") or request["image"]), self._result)

    @abstractmethod
    def _result(self, inference: Inference) -> Result: ...


class SeverityTask(PackedTask):
    """Score, position on the grade scale with its interval, grade, and probabilities where the network gives them.

    Of a series of several images that a network of 2D images reads, the most severe one.
    """

    def __init__(self, model: PackedModel) -> None:
        super().__init__(model, InferType.CLASSIFICATION, "Severity: score, grade, interval")

    def _result(self, inference: Inference) -> Result:
        row = max(inference.rows, key=lambda row: float(row["score"]))
        severity = severity_of_row(row, list(self.model.labels))
        return None, {"severity": {**severity, "n_images": len(inference.rows)}}


class SegmentationTask(PackedTask):
    """A label map in the geometry of the image, and what each structure measures."""

    def __init__(self, model: PackedModel) -> None:
        super().__init__(model, InferType.SEGMENTATION, "Outlines of lesions and other structures")

    def _result(self, inference: Inference) -> Result:
        files = {row["mask"] for row in inference.rows}
        if len(files) != 1:
            raise InputError(f"{len(files)} images in one series, and the network outlines single ones")
        found = inference.folder / files.pop()
        suffix = "".join(found.suffixes[-2:]) if found.name.endswith(".nii.gz") else found.suffix
        shown = ("structure", "pixels", "predicted_share", "area_mm2", "volume_ml", "probability")
        measures = [{name: _number(row[name]) for name in shown if name in row} for row in inference.rows]
        return _kept(found.read_bytes(), suffix), {"structures": measures, "label_names": self.labels}


class HeatMapTask(PackedTask):
    """A picture of where the image looks severe."""

    def __init__(self, model: PackedModel) -> None:
        super().__init__(model, InferType.OTHERS, "Where the image looks severe, as a picture")

    def _result(self, inference: Inference) -> Result:
        scores = [float(row["score"]) for row in inference.rows]
        dataset = inference.parser.get_parsed_content("dataset")
        network = inference.parser.get_parsed_content("network")
        image = dataset[scores.index(max(scores))]["image"]
        heat = severity_heat_maps(network, image[None].to(self.model.device))[0].cpu()
        return _kept(overlay_png(image, heat, size=max(image.shape[1:])), ".png"), {"score": max(scores)}


def severity_of_row(row: Mapping[str, str], grade_names: list[str]) -> dict[str, Any]:
    """The severity of a row of ``severity.csv``, as JSON; what the network does not give is left out.

    Example:
        >>> severity_of_row({"score": "1.5", "grade": "1", "grades": "0 1", "low": ""}, ["healthy", "ill"])
        {'score': 1.5, 'grade': 1, 'grades': [0, 1], 'grade_name': 'ill'}
    """
    severity: dict[str, Any] = {}
    for name in ("score", "position", "low", "high"):
        if row.get(name):
            severity[name] = float(row[name])
    if row.get("grade"):
        severity["grade"] = int(row["grade"])
        severity["grades"] = [int(grade) for grade in row["grades"].split()]
        severity["grade_name"] = grade_names[severity["grade"]]
    probabilities = [float(row[f"probability_{n}"]) for n in range(len(grade_names)) if row.get(f"probability_{n}")]
    return {**severity, "probabilities": probabilities} if probabilities else severity


def _number(cell: str) -> str | float | None:
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell


def _kept(content: bytes, suffix: str) -> str:
    """A file that the server deletes when it has sent or stored it."""
    with tempfile.NamedTemporaryFile(prefix="semise_", suffix=suffix, delete=False) as stream:
        stream.write(content)
    return stream.name
